//! Tables of implementations.

/// A table of scalar functions: `prosrc` names, argument patterns, a body.
///
/// ```text
/// scalars! { pub(crate) INT4, env;
///     "int4pl" [Int4(a), Int4(b)] => a.checked_add(*b).ok_or_else(int4_range);
///     "booleq" | "boolsame" [Bool(a), Bool(b)] => a == b;
/// }
/// ```
/// A function may have several arms, separated by commas. Patterns are of [`vicinity_types::Datum`] (its variants must be in scope) and bind references.
/// The body's value goes through [`crate::out::Out`].
macro_rules! scalars {
    ($vis:vis $table:ident, $env:ident; $($($name:literal)|+ $([$($arg:pat),* $(,)?] => $body:expr),+;)*) => {
        $vis static $table: &[(&[&str], $crate::registry::ScalarFn)] = &[
            $((&[$($name),+], |$env, args| {
                let _ = $env;
                #[allow(unreachable_patterns, clippy::redundant_at_rest_pattern)]
                match args {
                    $([$($arg),*] => $crate::out::Out::out($body),)+
                    _ => Err($crate::registry::mismatch(&[$($name),+], args)),
                }
            }),)*
        ];
    };
}

/// The same for functions that need the types of their arguments and result.
macro_rules! typed_scalars {
    ($vis:vis $table:ident, $env:ident, $types:ident; $($($name:literal)|+ $([$($arg:pat),* $(,)?] => $body:expr),+;)*) => {
        $vis static $table: &[(&[&str], $crate::registry::TypedFn)] = &[
            $((&[$($name),+], |$env, $types, args| {
                let _ = ($env, $types);
                #[allow(unreachable_patterns, clippy::redundant_at_rest_pattern)]
                match args {
                    $([$($arg),*] => $crate::out::Out::out($body),)+
                    _ => Err($crate::registry::mismatch(&[$($name),+], args)),
                }
            }),)*
        ];
    };
}

/// The same for set-returning functions; the body gives `Result<Rows>`.
#[allow(unused_macros)]
macro_rules! sets {
    ($vis:vis $table:ident, $env:ident; $($($name:literal)|+ $([$($arg:pat),* $(,)?] => $body:expr),+;)*) => {
        $vis static $table: &[(&[&str], $crate::registry::SetFn)] = &[
            $((&[$($name),+], |$env, args| {
                let _ = $env;
                #[allow(unreachable_patterns, clippy::redundant_at_rest_pattern)]
                match args {
                    $([$($arg),*] => $body,)+
                    _ => Err($crate::registry::mismatch(&[$($name),+], args)),
                }
            }),)*
        ];
    };
}
