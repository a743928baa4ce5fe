//! PostgreSQL's advanced regular expressions, translated for the `regex` crate.
//!
//! Two differences in meaning need more than spelling. An ARE takes the longest match where `regex`
//! takes the first alternative that matches: patterns with `|` are therefore matched twice, the end
//! found by an automaton that reports all matches, the groups inside that span. And `.` and `[^a]`
//! match a newline unless a flag says otherwise. Back references and lookaround have no linear-time
//! automaton and are refused.

use std::cell::RefCell;
use std::sync::Arc;

use regex::{Captures, Regex, RegexBuilder};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use vicinity_types::{PgError, Result, SqlState};

/// Flags of the `regexp_*` functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `g`, which only some functions allow.
    pub(crate) global: bool,
    pub(crate) ignore_case: bool,
    /// `.` and brackets stop at newlines (`n`, `p`).
    newline_stops: bool,
    /// `^` and `$` match at newlines (`n`, `w`).
    newline_anchors: bool,
    expanded: bool,
    /// `q`: the pattern is plain text.
    quoted: bool,
}

impl Flags {
    /// Reads a flags argument.
    pub(crate) fn parse(text: &str) -> Result<Flags> {
        let mut flags = Flags::default();
        for c in text.chars() {
            match c {
                'g' => flags.global = true,
                c => flags.set(c).ok_or_else(|| {
                    PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("invalid regular expression option: \"{c}\""),
                    )
                })?,
            }
        }
        Ok(flags)
    }

    pub(crate) fn ignoring_case() -> Flags {
        Flags { ignore_case: true, ..Flags::default() }
    }

    fn set(&mut self, c: char) -> Option<()> {
        match c {
            'i' => self.ignore_case = true,
            'c' => self.ignore_case = false,
            'n' | 'm' => (self.newline_stops, self.newline_anchors) = (true, true),
            'p' => (self.newline_stops, self.newline_anchors) = (true, false),
            'w' => (self.newline_stops, self.newline_anchors) = (false, true),
            's' => (self.newline_stops, self.newline_anchors) = (false, false),
            'x' => self.expanded = true,
            't' => self.expanded = false,
            'q' => self.quoted = true,
            'b' | 'e' => {}
            _ => return None,
        }
        Some(())
    }
}

/// A compiled pattern.
#[derive(Debug)]
pub(crate) struct Pattern {
    regex: Regex,
    longest: Option<Longest>,
}

#[derive(Debug)]
struct Longest {
    dfa: DFA,
    whole: Regex,
}

/// How many compiled patterns a thread keeps.
const CACHE: usize = 64;

type Cached = (String, Flags, Arc<Pattern>);

thread_local! {
    static PATTERNS: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

/// The compiled form of a pattern, kept for the next call.
pub(crate) fn compile(pattern: &str, flags: Flags) -> Result<Arc<Pattern>> {
    let flags = Flags { global: false, ..flags };
    PATTERNS.with_borrow_mut(|cache| {
        if let Some(at) = cache.iter().position(|(p, f, _)| p == pattern && *f == flags) {
            // Recently used ones stay at the end.
            let hit = cache.remove(at);
            let compiled = hit.2.clone();
            cache.push(hit);
            return Ok(compiled);
        }
        let compiled = Arc::new(Pattern::new(pattern, flags)?);
        if cache.len() == CACHE {
            cache.remove(0);
        }
        cache.push((pattern.to_owned(), flags, compiled.clone()));
        Ok(compiled)
    })
}

#[cold]
fn invalid(what: impl std::fmt::Display) -> PgError {
    PgError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        format!("invalid regular expression: {what}"),
    )
}

impl Pattern {
    fn new(pattern: &str, flags: Flags) -> Result<Pattern> {
        let (body, flags) = directives(pattern, flags);
        let mut translation = Translation::new(flags);
        if flags.quoted {
            translation.out = regex::escape(body);
        } else {
            translation.run(body)?;
        }
        let build = |text: &str| {
            RegexBuilder::new(text)
                .case_insensitive(flags.ignore_case)
                .dot_matches_new_line(!flags.newline_stops)
                .multi_line(flags.newline_anchors)
                .build()
                .map_err(|e| match e {
                    regex::Error::CompiledTooBig(_) => invalid("regular expression is too complex"),
                    _ => invalid("quantifier operand invalid"),
                })
        };
        let regex = build(&translation.out)?;
        let longest = (translation.alternates && !translation.lazy)
            .then(|| Pattern::longest(&translation.out, flags, build))
            .transpose()?;
        Ok(Pattern { regex, longest })
    }

    fn longest(text: &str, flags: Flags, build: impl Fn(&str) -> Result<Regex>) -> Result<Longest> {
        let dfa = DFA::builder()
            .configure(DFA::config().match_kind(MatchKind::All))
            .syntax(
                syntax::Config::new()
                    .case_insensitive(flags.ignore_case)
                    .dot_matches_new_line(!flags.newline_stops)
                    .multi_line(flags.newline_anchors),
            )
            .build(text)
            .map_err(|_| invalid("regular expression is too complex"))?;
        Ok(Longest { dfa, whole: build(&format!("(?:{text})\\z"))? })
    }

    /// Whether it matches anywhere.
    pub(crate) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        self.regex.captures_len() - 1
    }

    /// The first match at or after a byte offset, with its groups.
    pub(crate) fn captures_at<'t>(&self, text: &'t str, from: usize) -> Option<Captures<'t>> {
        let first = self.regex.captures_at(text, from)?;
        let Some(longest) = &self.longest else { return Some(first) };
        let found = first.get(0)?;
        let input = Input::new(text).span(found.start()..text.len()).anchored(Anchored::Yes);
        let mut cache = longest.dfa.create_cache();
        let Ok(Some(end)) = longest.dfa.try_search_fwd(&mut cache, &input) else {
            return Some(first);
        };
        if end.offset() <= found.end() {
            return Some(first);
        }
        longest.whole.captures_at(text.get(..end.offset())?, found.start()).or(Some(first))
    }

    /// All matches that do not overlap, an empty one never right after another match.
    pub(crate) fn matches<'t>(&self, text: &'t str, from: usize) -> Vec<Captures<'t>> {
        let mut found = Vec::new();
        let mut at = from;
        while at <= text.len() {
            let Some(captures) = self.captures_at(text, at) else { break };
            let Some(whole) = captures.get(0) else { break };
            at = if whole.is_empty() { next_char(text, whole.end()) } else { whole.end() };
            found.push(captures);
        }
        found
    }
}

/// The offset after the character at an offset; past the end at the end.
pub(crate) fn next_char(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(at + 1, |c| at + c.len_utf8())
}

/// `***:`, `***=` and `(?flags)` at the start.
fn directives(pattern: &str, mut flags: Flags) -> (&str, Flags) {
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

struct Translation {
    flags: Flags,
    out: String,
    alternates: bool,
    lazy: bool,
}

impl Translation {
    fn new(flags: Flags) -> Translation {
        Translation { flags, out: String::new(), alternates: false, lazy: false }
    }

    fn run(&mut self, pattern: &str) -> Result<()> {
        let mut chars = pattern.chars().peekable();
        let mut depth = 0usize;
        while let Some(c) = chars.next() {
            match c {
                '\\' => self.escape(&mut chars, false)?,
                '[' => self.class(&mut chars)?,
                '(' => {
                    depth += 1;
                    self.out.push('(');
                    if chars.next_if_eq(&'?').is_some() {
                        match chars.next() {
                            Some(':') => self.out.push_str("?:"),
                            Some('=' | '!' | '<') => {
                                return Err(PgError::unsupported(
                                    "lookaround in a regular expression",
                                ));
                            }
                            _ => return Err(invalid("quantifier operand invalid")),
                        }
                    }
                }
                ')' if depth == 0 => self.out.push_str("\\)"),
                ')' => {
                    depth -= 1;
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
        if depth > 0 {
            return Err(invalid("parentheses () not balanced"));
        }
        Ok(())
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
            'm' if !in_class => self.out.push_str("(?-u:\\b{start})"),
            'M' if !in_class => self.out.push_str("(?-u:\\b{end})"),
            'y' if !in_class => self.out.push_str("(?-u:\\b)"),
            'Y' if !in_class => {
                self.out.push_str("(?:\\A\\z|(?-u:\\b{start-half})(?-u:\\b{end-half}))")
            }
            '1'..='9' => {
                return Err(PgError::unsupported("a back reference in a regular expression"));
            }
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
        for (spelling, boundary) in [("[:<:]]", "{start}"), ("[:>:]]", "{end}")] {
            if rest == spelling {
                self.out.push_str(&format!("(?-u:\\b{boundary})"));
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
