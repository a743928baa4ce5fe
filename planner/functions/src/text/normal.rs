//! Unicode's normal forms.

use unicode_normalization::UnicodeNormalization;
use vicinity_types::Datum::Text;
use vicinity_types::{PgError, Result, SqlState};

fn normalized(text: &str, form: &str) -> Result<String> {
    Ok(match form.to_ascii_uppercase().as_str() {
        "NFC" => text.nfc().collect(),
        "NFD" => text.nfd().collect(),
        "NFKC" => text.nfkc().collect(),
        "NFKD" => text.nfkd().collect(),
        _ => {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("invalid normalization form: {form}"),
            ));
        }
    })
}

scalars! { pub(crate) NORMAL, env;
    "unicode_normalize_func" [Text(a), Text(form)] => normalized(a, form);
    "unicode_is_normalized" [Text(a), Text(form)] => normalized(a, form).map(|n| n == a.as_ref());
}
