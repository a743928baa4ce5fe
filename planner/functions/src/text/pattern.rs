//! PostgreSQL's advanced regular expressions, translated for the `regex` crate.
//!
//! Two differences in meaning need more than spelling. An ARE takes the longest match where `regex`
//! takes the first alternative that matches: patterns with `|` are therefore matched twice, the end
//! found by an automaton that reports all matches, the groups inside that span. And `.` and `[^a]`
//! match a newline unless a flag says otherwise. Back references and lookaround have no linear-time
//! automaton: patterns with them go to a matcher that tracks back, for a limited number of steps, and
//! prefers the first alternative that matches.

use std::cell::RefCell;
use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input, MatchKind};
use vicinity_types::{PgError, Result, SqlState};

use super::are::{Translation, directives, invalid};

/// Flags of the `regexp_*` functions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    /// `g`, which only some functions allow.
    pub(crate) global: bool,
    pub(crate) ignore_case: bool,
    /// `.` and brackets stop at newlines (`n`, `p`).
    pub(super) newline_stops: bool,
    /// `^` and `$` match at newlines (`n`, `w`).
    newline_anchors: bool,
    pub(super) expanded: bool,
    /// `q`: the pattern is plain text.
    pub(super) quoted: bool,
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

    pub(super) fn set(&mut self, c: char) -> Option<()> {
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
    engine: Engine,
}

#[derive(Debug)]
enum Engine {
    Linear {
        regex: Regex,
        longest: Option<Longest>,
    },
    /// For what no automaton does.
    Backtracking(fancy_regex::Regex),
}

#[derive(Debug)]
struct Longest {
    dfa: DFA,
    whole: Regex,
}

/// A match: where it is, and where its groups are.
pub(crate) struct Found<'t> {
    text: &'t str,
    spans: Vec<Option<(usize, usize)>>,
}

/// A part of a text.
#[derive(Clone, Copy)]
pub(crate) struct Part<'t> {
    text: &'t str,
    start: usize,
    end: usize,
}

impl<'t> Found<'t> {
    /// The whole match (0) or a group; `None` for one that took no part.
    pub(crate) fn get(&self, group: usize) -> Option<Part<'t>> {
        let (start, end) = (*self.spans.get(group)?)?;
        Some(Part { text: self.text, start, end })
    }

    fn linear(text: &'t str, captures: &regex::Captures<'t>) -> Found<'t> {
        let spans = captures.iter().map(|m| m.map(|m| (m.start(), m.end())));
        Found { text, spans: spans.collect() }
    }
}

impl<'t> Part<'t> {
    pub(crate) fn start(self) -> usize {
        self.start
    }

    pub(crate) fn end(self) -> usize {
        self.end
    }

    pub(crate) fn is_empty(self) -> bool {
        self.start == self.end
    }

    pub(crate) fn as_str(self) -> &'t str {
        self.text.get(self.start..self.end).unwrap_or("")
    }
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

impl Pattern {
    fn new(pattern: &str, flags: Flags) -> Result<Pattern> {
        let (body, flags) = directives(pattern, flags);
        let translation = Translation::of(body, flags)?;
        if translation.backtracks {
            return Pattern::backtracking(&translation.out, flags);
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
        Ok(Pattern { engine: Engine::Linear { regex, longest } })
    }

    fn backtracking(text: &str, flags: Flags) -> Result<Pattern> {
        use fancy_regex::{CompileError, Error};
        let mut letters = String::new();
        letters.extend(flags.ignore_case.then_some('i'));
        letters.extend((!flags.newline_stops).then_some('s'));
        letters.extend(flags.newline_anchors.then_some('m'));
        let text =
            if letters.is_empty() { text.to_owned() } else { format!("(?{letters}:{text})") };
        let regex = fancy_regex::Regex::new(&text).map_err(|e| match e {
            Error::CompileError(CompileError::LookBehindNotConst) => {
                PgError::unsupported("lookbehind of varying length in a regular expression")
            }
            Error::CompileError(CompileError::InvalidBackref) => {
                invalid("invalid backreference number")
            }
            _ => invalid("quantifier operand invalid"),
        })?;
        Ok(Pattern { engine: Engine::Backtracking(regex) })
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
    pub(crate) fn is_match(&self, text: &str) -> Result<bool> {
        match &self.engine {
            Engine::Linear { regex, .. } => Ok(regex.is_match(text)),
            Engine::Backtracking(regex) => regex.is_match(text).map_err(|_| failed()),
        }
    }

    /// Number of groups.
    pub(crate) fn groups(&self) -> usize {
        match &self.engine {
            Engine::Linear { regex, .. } => regex.captures_len() - 1,
            Engine::Backtracking(regex) => regex.captures_len() - 1,
        }
    }

    /// The first match at or after a byte offset, with its groups.
    pub(crate) fn captures_at<'t>(&self, text: &'t str, from: usize) -> Result<Option<Found<'t>>> {
        if from > text.len() {
            return Ok(None);
        }
        match &self.engine {
            Engine::Linear { regex, longest } => Ok(linear(regex, longest.as_ref(), text, from)),
            Engine::Backtracking(regex) => {
                let found = regex.captures_from_pos(text, from).map_err(|_| failed())?;
                Ok(found.map(|captures| {
                    let spans = captures.iter().map(|m| m.map(|m| (m.start(), m.end())));
                    Found { text, spans: spans.collect() }
                }))
            }
        }
    }

    /// All matches that do not overlap, an empty one never right after another match.
    pub(crate) fn matches<'t>(&self, text: &'t str, from: usize) -> Result<Vec<Found<'t>>> {
        let mut found = Vec::new();
        let mut at = from;
        while at <= text.len() {
            let Some(captures) = self.captures_at(text, at)? else { break };
            let Some(whole) = captures.get(0) else { break };
            at = if whole.is_empty() { next_char(text, whole.end()) } else { whole.end() };
            found.push(captures);
        }
        Ok(found)
    }
}

/// The match an ARE means: of those that begin where the first one does, the longest.
fn linear<'t>(
    regex: &Regex,
    longest: Option<&Longest>,
    text: &'t str,
    from: usize,
) -> Option<Found<'t>> {
    let first = regex.captures_at(text, from)?;
    let longer = || {
        let (longest, found) = (longest?, first.get(0)?);
        let input = Input::new(text).span(found.start()..text.len()).anchored(Anchored::Yes);
        let mut cache = longest.dfa.create_cache();
        let end = longest.dfa.try_search_fwd(&mut cache, &input).ok()??;
        if end.offset() <= found.end() {
            return None;
        }
        longest.whole.captures_at(text.get(..end.offset())?, found.start())
    };
    Some(Found::linear(text, &longer().unwrap_or(first)))
}

/// The matcher gave up.
#[cold]
fn failed() -> PgError {
    PgError::new(
        SqlState::INVALID_REGULAR_EXPRESSION,
        "regular expression failed: regular expression is too complex",
    )
}

/// The offset after the character at an offset; past the end at the end.
pub(crate) fn next_char(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(at + 1, |c| at + c.len_utf8())
}
