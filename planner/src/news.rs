//! What a session has to tell its client beside results.

use vicinity_types::Notice;

/// What happened since it was asked for last.
pub struct News {
    /// Notices nobody could send at once, oldest first.
    pub notices: Vec<Notice>,
    /// Reported settings that changed, with their values.
    pub parameters: Vec<(&'static str, String)>,
    /// Named statements that are gone; `None` is all of them.
    pub forgotten: Vec<Option<String>>,
}
