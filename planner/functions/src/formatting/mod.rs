//! `to_char`, `to_date`, `to_timestamp`, `to_number`.

pub(crate) mod number;
pub(crate) mod picture;
pub(crate) mod read;
pub(crate) mod write;
