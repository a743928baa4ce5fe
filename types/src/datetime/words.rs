//! The words of date, time and interval input.

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// 1 to 12.
    Month(i32),
    /// 0 is Sunday. Read and not used, as in PostgreSQL.
    Weekday(i32),
    /// Whether it is BC.
    Era(bool),
    Meridian(Meridian),
    Special(Special),
    Unit(Unit),
    /// `dst` after a zone's abbreviation.
    DstModifier,
    /// `t` between date and time.
    IsoTime,
    Ago,
    Ignore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meridian {
    Am,
    Pm,
}

/// Words that stand for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Special {
    Now,
    Yesterday,
    Today,
    Tomorrow,
    Zulu,
    Epoch,
    Early,
    Late,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    /// The field after `t`.
    Time,
    /// Known, and of no use in input.
    Other,
}

/// Words are told apart by so many bytes.
const TOKEN_LENGTH: usize = 10;

fn find(table: &[(&str, Token)], word: &str) -> Option<Token> {
    let word = word.get(..word.floor_char_boundary(TOKEN_LENGTH)).unwrap_or(word);
    let at = table.binary_search_by(|(name, _)| (*name).cmp(word)).ok()?;
    table.get(at).map(|(_, token)| *token)
}

/// Looks up a lower-case word of dates and times.
pub(super) fn date_word(word: &str) -> Option<Token> {
    find(DATE_WORDS, word)
}

/// Looks up a lower-case word of intervals.
pub(super) fn interval_word(word: &str) -> Option<Token> {
    find(INTERVAL_WORDS, word)
}

/// Words of dates and times, in order.
#[rustfmt::skip]
const DATE_WORDS: &[(&str, Token)] = &[
    ("-infinity", Token::Special(Special::Early)),
    ("ad", Token::Era(false)),
    ("allballs", Token::Special(Special::Zulu)),
    ("am", Token::Meridian(Meridian::Am)),
    ("apr", Token::Month(4)),
    ("april", Token::Month(4)),
    ("at", Token::Ignore),
    ("aug", Token::Month(8)),
    ("august", Token::Month(8)),
    ("bc", Token::Era(true)),
    ("d", Token::Unit(Unit::Day)),
    ("dec", Token::Month(12)),
    ("december", Token::Month(12)),
    ("dow", Token::Unit(Unit::Other)),
    ("doy", Token::Unit(Unit::Other)),
    ("dst", Token::DstModifier),
    ("epoch", Token::Special(Special::Epoch)),
    ("feb", Token::Month(2)),
    ("february", Token::Month(2)),
    ("fri", Token::Weekday(5)),
    ("friday", Token::Weekday(5)),
    ("h", Token::Unit(Unit::Hour)),
    ("infinity", Token::Special(Special::Late)),
    ("isodow", Token::Unit(Unit::Other)),
    ("isoyear", Token::Unit(Unit::Other)),
    ("j", Token::Unit(Unit::Julian)),
    ("jan", Token::Month(1)),
    ("january", Token::Month(1)),
    ("jd", Token::Unit(Unit::Julian)),
    ("jul", Token::Month(7)),
    ("julian", Token::Unit(Unit::Julian)),
    ("july", Token::Month(7)),
    ("jun", Token::Month(6)),
    ("june", Token::Month(6)),
    ("m", Token::Unit(Unit::Month)),
    ("mar", Token::Month(3)),
    ("march", Token::Month(3)),
    ("may", Token::Month(5)),
    ("mm", Token::Unit(Unit::Minute)),
    ("mon", Token::Weekday(1)),
    ("monday", Token::Weekday(1)),
    ("nov", Token::Month(11)),
    ("november", Token::Month(11)),
    ("now", Token::Special(Special::Now)),
    ("oct", Token::Month(10)),
    ("october", Token::Month(10)),
    ("on", Token::Ignore),
    ("pm", Token::Meridian(Meridian::Pm)),
    ("s", Token::Unit(Unit::Second)),
    ("sat", Token::Weekday(6)),
    ("saturday", Token::Weekday(6)),
    ("sep", Token::Month(9)),
    ("sept", Token::Month(9)),
    ("september", Token::Month(9)),
    ("sun", Token::Weekday(0)),
    ("sunday", Token::Weekday(0)),
    ("t", Token::IsoTime),
    ("thu", Token::Weekday(4)),
    ("thur", Token::Weekday(4)),
    ("thurs", Token::Weekday(4)),
    ("thursday", Token::Weekday(4)),
    ("today", Token::Special(Special::Today)),
    ("tomorrow", Token::Special(Special::Tomorrow)),
    ("tue", Token::Weekday(2)),
    ("tues", Token::Weekday(2)),
    ("tuesday", Token::Weekday(2)),
    ("wed", Token::Weekday(3)),
    ("wednesday", Token::Weekday(3)),
    ("weds", Token::Weekday(3)),
    ("y", Token::Unit(Unit::Year)),
    ("yesterday", Token::Special(Special::Yesterday)),
];

/// Words of intervals, in order.
#[rustfmt::skip]
const INTERVAL_WORDS: &[(&str, Token)] = &[
    ("ago", Token::Ago),
    ("c", Token::Unit(Unit::Century)),
    ("cent", Token::Unit(Unit::Century)),
    ("centuries", Token::Unit(Unit::Century)),
    ("century", Token::Unit(Unit::Century)),
    ("d", Token::Unit(Unit::Day)),
    ("day", Token::Unit(Unit::Day)),
    ("days", Token::Unit(Unit::Day)),
    ("dec", Token::Unit(Unit::Decade)),
    ("decade", Token::Unit(Unit::Decade)),
    ("decades", Token::Unit(Unit::Decade)),
    ("decs", Token::Unit(Unit::Decade)),
    ("h", Token::Unit(Unit::Hour)),
    ("hour", Token::Unit(Unit::Hour)),
    ("hours", Token::Unit(Unit::Hour)),
    ("hr", Token::Unit(Unit::Hour)),
    ("hrs", Token::Unit(Unit::Hour)),
    ("m", Token::Unit(Unit::Minute)),
    ("microsecon", Token::Unit(Unit::Microsecond)),
    ("mil", Token::Unit(Unit::Millennium)),
    ("millennia", Token::Unit(Unit::Millennium)),
    ("millennium", Token::Unit(Unit::Millennium)),
    ("millisecon", Token::Unit(Unit::Millisecond)),
    ("mils", Token::Unit(Unit::Millennium)),
    ("min", Token::Unit(Unit::Minute)),
    ("mins", Token::Unit(Unit::Minute)),
    ("minute", Token::Unit(Unit::Minute)),
    ("minutes", Token::Unit(Unit::Minute)),
    ("mon", Token::Unit(Unit::Month)),
    ("mons", Token::Unit(Unit::Month)),
    ("month", Token::Unit(Unit::Month)),
    ("months", Token::Unit(Unit::Month)),
    ("ms", Token::Unit(Unit::Millisecond)),
    ("msec", Token::Unit(Unit::Millisecond)),
    ("mseconds", Token::Unit(Unit::Millisecond)),
    ("msecs", Token::Unit(Unit::Millisecond)),
    ("qtr", Token::Unit(Unit::Other)),
    ("quarter", Token::Unit(Unit::Other)),
    ("s", Token::Unit(Unit::Second)),
    ("sec", Token::Unit(Unit::Second)),
    ("second", Token::Unit(Unit::Second)),
    ("seconds", Token::Unit(Unit::Second)),
    ("secs", Token::Unit(Unit::Second)),
    ("timezone", Token::Unit(Unit::Other)),
    ("timezone_h", Token::Unit(Unit::Other)),
    ("timezone_m", Token::Unit(Unit::Other)),
    ("us", Token::Unit(Unit::Microsecond)),
    ("usec", Token::Unit(Unit::Microsecond)),
    ("useconds", Token::Unit(Unit::Microsecond)),
    ("usecs", Token::Unit(Unit::Microsecond)),
    ("w", Token::Unit(Unit::Week)),
    ("week", Token::Unit(Unit::Week)),
    ("weeks", Token::Unit(Unit::Week)),
    ("y", Token::Unit(Unit::Year)),
    ("year", Token::Unit(Unit::Year)),
    ("years", Token::Unit(Unit::Year)),
    ("yr", Token::Unit(Unit::Year)),
    ("yrs", Token::Unit(Unit::Year)),
];
