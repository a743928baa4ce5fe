//! What many threads write, away from what they only read.

use std::ops::{Deref, DerefMut};

/// A value with its cache lines to itself (two, as CPUs fetch them in pairs): whoever changes it takes them from all
/// other cores, and with them whatever else is there.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Apart<T>(pub T);

impl<T> Deref for Apart<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Apart<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
