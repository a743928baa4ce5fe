//! Dates and times.

pub(crate) mod arithmetic;
pub(crate) mod calendar;
pub(crate) mod convert;
pub(crate) mod extract;
pub(crate) mod field;
pub(crate) mod interval;
pub(crate) mod mixed;
pub(crate) mod truncate;
