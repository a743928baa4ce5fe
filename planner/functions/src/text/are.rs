//! The spelling of PostgreSQL's advanced regular expressions, in that of the `regex` crate.

use vicinity_types::{PgError, Result, SqlState};

use super::pattern::Flags;

#[cold]
pub(super) fn invalid(what: impl std::fmt::Display) -> PgError {
    PgError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {what}"),
    )
}

/// `***:`, `***=` and `(?flags)` at the start.
pub(super) fn directives(pattern: &str, mut flags: Flags) -> (&str, Flags) {
    if let Some(literal) = pattern.strip_prefix("***=") {
        flags.quoted = true;
        return (literal, flags);
    }
    let pattern = pattern.strip_prefix("***:").unwrap_or(pattern);
    if flags.quoted {
        return (pattern, flags);
    }
    if let Some((letters, rest)) = pattern.strip_prefix("(?").and_then(|p| p.split_once(')'))
        && !letters.is_empty()
        && letters.bytes().all(|b| b.is_ascii_alphabetic())
    {
        let mut changed = flags;
        if letters.chars().all(|c| changed.set(c).is_some()) {
            return (rest, changed);
        }
    }
    (pattern, flags)
}

/// Where words begin and end.
#[derive(Clone, Copy)]
enum Edge {
    Begin,
    End,
    Either,
    Neither,
}

pub(super) struct Translation {
    flags: Flags,
    pub(super) out: String,
    pub(super) alternates: bool,
    pub(super) lazy: bool,
    /// It has back references or lookaround.
    pub(super) backtracks: bool,
    /// The parentheses that are open: whether they are a group's, and whether they are within
    /// lookaround, where there are no groups.
    open: Vec<Open>,
    /// Groups begun.
    groups: usize,
}

#[derive(Clone, Copy)]
struct Open {
    around: bool,
    group: Option<usize>,
}

impl Translation {
    pub(super) fn of(pattern: &str, flags: Flags) -> Result<Translation> {
        let mut made = Translation::new(flags, false);
        if flags.quoted {
            made.out = regex::escape(pattern);
            return Ok(made);
        }
        made.run(pattern)?;
        if made.backtracks {
            // the words' edges are spelt in another way there
            made = Translation::new(flags, true);
            made.run(pattern)?;
        }
        Ok(made)
    }

    fn new(flags: Flags, backtracks: bool) -> Translation {
        Translation {
            flags,
            out: String::new(),
            alternates: false,
            lazy: false,
            backtracks,
            open: Vec::new(),
            groups: 0,
        }
    }

    fn run(&mut self, pattern: &str) -> Result<()> {
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' => self.escape(&mut chars, false)?,
                '[' => self.class(&mut chars)?,
                '(' => self.parenthesis(&mut chars)?,
                ')' if self.open.is_empty() => self.out.push_str("\\)"),
                ')' => {
                    self.open.pop();
                    self.out.push(')');
                }
                '|' => {
                    self.alternates = true;
                    self.out.push('|');
                }
                '*' | '+' | '?' => {
                    if self.starts_branch() {
                        return Err(invalid("quantifier operand invalid"));
                    }
                    self.out.push(c);
                    self.quantifier_end(&mut chars);
                }
                '{' if chars.peek().is_some_and(char::is_ascii_digit) => {
                    self.bound(&mut chars)?;
                    self.quantifier_end(&mut chars);
                }
                '{' | '}' | '/' | '&' | '~' | '-' => {
                    if !c.is_ascii_alphanumeric() && c != '/' {
                        self.out.push('\\');
                    }
                    self.out.push(c);
                }
                '#' if self.flags.expanded => while chars.next().is_some_and(|c| c != '\n') {},
                c if self.flags.expanded && c.is_ascii_whitespace() => {}
                '#' => self.out.push_str("\\#"),
                c => self.out.push(c),
            }
        }
        if !self.open.is_empty() {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(())
    }

    /// What follows an opening parenthesis: a group, one without a number, or lookaround.
    fn parenthesis(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<()> {
        let within = self.open.last().is_some_and(|open| open.around);
        let mut open = Open { around: within, group: None };
        if chars.next_if_eq(&'?').is_some() {
            let behind = chars.next_if_eq(&'<').is_some();
            match chars.next() {
                Some(':') if !behind => self.out.push_str("(?:"),
                Some(c @ ('=' | '!')) => {
                    (self.backtracks, open.around) = (true, true);
                    self.out.push_str(if behind { "(?<" } else { "(?" });
                    self.out.push(c);
                }
                _ => return Err(invalid("quantifier operand invalid")),
            }
        } else if within {
            self.out.push_str("(?:");
        } else {
            self.groups += 1;
            open.group = Some(self.groups);
            self.out.push('(');
        }
        self.open.push(open);
        Ok(())
    }

    /// `\1`: what a group before it matched. More digits belong to it while there are such groups.
    fn back_reference(
        &mut self,
        first: char,
        chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    ) -> Result<()> {
        let mut number = first as usize - '0' as usize;
        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
            let longer = number * 10 + digit as usize;
            if longer > self.groups {
                break;
            }
            number = longer;
            chars.next();
        }
        let open = self.open.iter().any(|o| o.group == Some(number) || o.around);
        if number > self.groups || open {
            return Err(invalid("invalid backreference number"));
        }
        self.backtracks = true;
        self.out.push_str(&format!("(?:\\{number})"));
        Ok(())
    }

    /// A word's beginning, its end, either, or neither.
    fn edge(&mut self, which: Edge) {
        const WORD: &str = "[0-9A-Za-z_]";
        let begins = format!("(?<!{WORD})(?={WORD})");
        let ends = format!("(?<={WORD})(?!{WORD})");
        let spelt = match (which, self.backtracks) {
            (Edge::Begin, true) => begins,
            (Edge::End, true) => ends,
            (Edge::Either, true) => format!("(?:{begins}|{ends})"),
            (Edge::Neither, true) => format!("(?!{begins})(?!{ends})"),
            (Edge::Begin, false) => "(?-u:\\b{start})".to_owned(),
            (Edge::End, false) => "(?-u:\\b{end})".to_owned(),
            (Edge::Either, false) => "(?-u:\\b)".to_owned(),
            (Edge::Neither, false) => {
                "(?:\\A\\z|(?-u:\\b{start-half})(?-u:\\b{end-half}))".to_owned()
            }
        };
        self.out.push_str(&spelt);
    }

    fn starts_branch(&self) -> bool {
        match self.out.as_bytes() {
            [] | [b'|'] => true,
            [.., before, last] => *before != b'\\' && matches!(last, b'(' | b'|'),
            [last] => matches!(last, b'(' | b'|'),
        }
    }

    fn quantifier_end(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
        if chars.next_if_eq(&'?').is_some() {
            self.lazy = true;
            self.out.push('?');
        }
    }

    fn bound(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<()> {
        let text: String = std::iter::from_fn(|| chars.next_if(|c| *c != '}')).collect();
        if chars.next().is_none() {
            return Err(invalid("braces {} not balanced"));
        }
        let refuse = || invalid("invalid repetition count(s)");
        let number = |t: &str| t.parse::<u32>().ok().filter(|n| *n <= 255).ok_or_else(refuse);
        match text.split_once(',') {
            None => {
                number(&text)?;
            }
            Some((low, "")) => {
                number(low)?;
            }
            Some((low, high)) => {
                if number(low)? > number(high)? {
                    return Err(refuse());
                }
            }
        }
        self.out.push_str(&format!("{{{text}}}"));
        Ok(())
    }

    fn literal(&mut self, c: char) {
        if !c.is_alphanumeric() && c.is_ascii() && !c.is_ascii_control() && c != ' ' {
            self.out.push('\\');
        }
        self.out.push(c);
    }

    /// What follows a backslash, outside or inside brackets.
    fn escape(
        &mut self,
        chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
        in_class: bool,
    ) -> Result<()> {
        let Some(c) = chars.next() else {
            return Err(invalid("invalid escape \\ sequence"));
        };
        match c {
            'd' => self.out.push_str(if in_class { "0-9" } else { "[0-9]" }),
            'w' => self.out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
            's' => self.out.push_str(if in_class { " \\t-\\r" } else { "[ \\t-\\r]" }),
            'D' | 'W' | 'S' if in_class => return Err(invalid("invalid escape \\ sequence")),
            'D' => self.out.push_str("[^0-9]"),
            'W' => self.out.push_str("[^0-9A-Za-z_]"),
            'S' => self.out.push_str("[^ \\t-\\r]"),
            'a' => self.out.push_str("\\x07"),
            'b' => self.out.push_str("\\x08"),
            'B' => self.out.push_str("\\\\"),
            'e' => self.out.push_str("\\x1b"),
            'f' => self.out.push_str("\\x0c"),
            'n' => self.out.push_str("\\n"),
            'r' => self.out.push_str("\\r"),
            't' => self.out.push_str("\\t"),
            'v' => self.out.push_str("\\x0b"),
            '0' => self.out.push_str("\\x00"),
            'c' => {
                let c = chars.next().ok_or_else(|| invalid("invalid escape \\ sequence"))?;
                self.out.push_str(&format!("\\x{:02x}", (c as u32) & 0x1f));
            }
            'x' => self.code(chars, 1, 255)?,
            'u' => self.code(chars, 4, 4)?,
            'U' => self.code(chars, 8, 8)?,
            'A' if !in_class => self.out.push_str("\\A"),
            'Z' if !in_class => self.out.push_str("\\z"),
            'm' if !in_class => self.edge(Edge::Begin),
            'M' if !in_class => self.edge(Edge::End),
            'y' if !in_class => self.edge(Edge::Either),
            'Y' if !in_class => self.edge(Edge::Neither),
            '1'..='9' if !in_class => self.back_reference(c, chars)?,
            c if c.is_ascii_alphanumeric() => return Err(invalid("invalid escape \\ sequence")),
            c => self.literal(c),
        }
        Ok(())
    }

    fn code(
        &mut self,
        chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
        least: usize,
        most: usize,
    ) -> Result<()> {
        let digits: String =
            std::iter::from_fn(|| chars.next_if(char::is_ascii_hexdigit)).take(most).collect();
        let code = u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() >= least);
        let c =
            code.and_then(char::from_u32).ok_or_else(|| invalid("invalid escape \\ sequence"))?;
        self.out.push_str(&format!("\\x{{{:x}}}", c as u32));
        Ok(())
    }

    /// A bracket expression, after its `[`.
    fn class(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<()> {
        let unbalanced = || invalid("brackets [] not balanced");
        let rest: String = chars.clone().take(6).collect();
        for (spelling, edge) in [("[:<:]]", Edge::Begin), ("[:>:]]", Edge::End)] {
            if rest == spelling {
                self.edge(edge);
                chars.by_ref().take(6).for_each(drop);
                return Ok(());
            }
        }
        self.out.push('[');
        if chars.next_if_eq(&'^').is_some() {
            self.out.push('^');
            if self.flags.newline_stops {
                self.out.push_str("\\n");
            }
        }
        let mut first = true;
        loop {
            let c = chars.next().ok_or_else(unbalanced)?;
            match c {
                ']' if !first => break,
                '\\' => self.escape(chars, true)?,
                '[' if matches!(chars.peek(), Some(':' | '.' | '=')) => self.named(chars)?,
                '-' => {
                    // Between two characters it makes a range; at either end it is itself.
                    let edge = first || chars.peek() == Some(&']');
                    self.out.push_str(if edge { "\\-" } else { "-" });
                }
                c => self.literal(c),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    /// `[:alpha:]`, `[.x.]` and `[=x=]` inside brackets.
    fn named(&mut self, chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<()> {
        let kind = chars.next().unwrap_or(':');
        let name: String = std::iter::from_fn(|| chars.next_if(|c| *c != kind)).collect();
        if chars.next().is_none() || chars.next() != Some(']') {
            return Err(invalid("brackets [] not balanced"));
        }
        if kind == ':' {
            let known = [
                "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
                "punct", "space", "upper", "word", "xdigit",
            ];
            if !known.contains(&name.as_str()) {
                return Err(invalid("invalid character class"));
            }
            self.out.push_str(&format!("[:{name}:]"));
            return Ok(());
        }
        let mut single = name.chars();
        match (single.next(), single.next()) {
            (Some(c), None) => self.literal(c),
            _ => return Err(invalid("invalid collating element")),
        }
        Ok(())
    }
}
