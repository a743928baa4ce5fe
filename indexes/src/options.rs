//! `WITH (...)` of the vector access methods: names, ranges and defaults as data, errors in PostgreSQL's words for the
//! options themselves and in PASE's for `clustering_params`.

use std::path::PathBuf;

use vicinity_types::{Notice, PgError, Result, SqlState};

use crate::hnsw::HnswOptions;
use crate::ivf::{Clustering, IvfOptions};
use crate::vector::Metric;

/// The most centroids an index may be asked for.
pub const MAX_CENTROIDS: usize = 1_000_000;

/// What a method's options say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MethodOptions {
    /// `pase_hnsw`.
    Hnsw(HnswOptions),
    /// `pase_ivfflat`.
    Ivfflat(IvfOptions),
}

/// The result of [`parse_options`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The options, defaults filled in.
    pub method: MethodOptions,
    /// What to tell the client.
    pub notices: Vec<Notice>,
}

/// What values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OptionKind {
    /// An integer with its bounds and default.
    Int {
        /// Least value.
        min: i32,
        /// Greatest value.
        max: i32,
        /// When not given.
        default: i32,
    },
    /// Any text, empty when not given.
    Text,
}

/// One option of a method.
#[derive(Clone, Copy, Debug)]
pub struct OptionDef {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub kind: OptionKind,
}

const fn int(name: &'static str, min: i32, max: i32, default: i32) -> OptionDef {
    OptionDef { name, kind: OptionKind::Int { min, max, default } }
}

/// Options of `pase_hnsw`. Ranges hold PASE's.
pub const HNSW: &[OptionDef] = &[
    int("dim", 1, 16_000, 256),
    int("base_nb_num", 2, 100, 16),
    int("ef_build", 4, 1000, 40),
    int("ef_search", 1, 1000, 50),
    int("base64_encoded", 0, 1, 0),
];

/// Options of `pase_ivfflat`.
pub const IVFFLAT: &[OptionDef] = &[
    int("clustering_type", 0, 1, 0),
    int("distance_type", 0, 2, 0),
    int("dimension", 1, 16_000, 256),
    int("base64_encoded", 0, 1, 0),
    int("open_omp", 0, 1, 0),
    int("omp_thread_num", 1, 64, 4),
    OptionDef { name: "clustering_params", kind: OptionKind::Text },
];

/// Reads the options of `pase_hnsw` or `pase_ivfflat`. Values are text as written; a bare name has the value `true`.
pub fn parse_options(method: &str, given: &[(String, String)]) -> Result<Options> {
    match method {
        "pase_hnsw" => Values::check(HNSW, given)?.hnsw(),
        "pase_ivfflat" => Values::check(IVFFLAT, given)?.ivfflat(),
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{method}\" does not exist"),
        )),
    }
}

fn invalid(message: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// Given values that were checked against a method's table.
struct Values<'a> {
    defs: &'static [OptionDef],
    given: &'a [(String, String)],
}

impl<'a> Values<'a> {
    fn check(defs: &'static [OptionDef], given: &'a [(String, String)]) -> Result<Self> {
        for (i, (name, value)) in given.iter().enumerate() {
            let Some(def) = defs.iter().find(|d| d.name == name) else {
                return Err(invalid(format!("unrecognized parameter \"{name}\"")));
            };
            if given.iter().take(i).any(|(n, _)| n == name) {
                return Err(invalid(format!("parameter \"{name}\" specified more than once")));
            }
            if let OptionKind::Int { min, max, .. } = def.kind {
                let Ok(v) = value.trim().parse::<i32>() else {
                    return Err(invalid(format!(
                        "invalid value for integer option \"{name}\": {value}"
                    )));
                };
                if !(min..=max).contains(&v) {
                    return Err(invalid(format!("value {v} out of bounds for option \"{name}\""))
                        .detail(format!("Valid values are between \"{min}\" and \"{max}\".")));
                }
            }
        }
        Ok(Values { defs, given })
    }

    fn text(&self, name: &str) -> &'a str {
        self.given.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    /// A checked integer or its default. No integer option is negative.
    fn int(&self, name: &str) -> usize {
        let default = self.defs.iter().find(|d| d.name == name).map(|d| d.kind);
        let given = self.text(name).trim().parse::<i32>().ok();
        let value = match (given, default) {
            (Some(v), _) => v,
            (None, Some(OptionKind::Int { default, .. })) => default,
            _ => 0,
        };
        usize::try_from(value).unwrap_or(0)
    }

    fn hnsw(&self) -> Result<Options> {
        let options = HnswOptions {
            dim: self.int("dim"),
            m: self.int("base_nb_num"),
            ef_build: self.int("ef_build"),
            ef_search: self.int("ef_search"),
            base64_encoded: self.int("base64_encoded") == 1,
            ..HnswOptions::default()
        };
        Ok(Options { method: MethodOptions::Hnsw(options), notices: Vec::new() })
    }

    fn ivfflat(&self) -> Result<Options> {
        let dim = self.int("dimension");
        let params = self.text("clustering_params");
        let mut notices = Vec::new();
        let clustering = if self.int("clustering_type") == 1 {
            parse_internal(params, dim, &mut notices)?
        } else if params.is_empty() {
            return Err(PgError::new(SqlState::UNDEFINED_FILE, "open centroid file[] failed"));
        } else {
            Clustering::External { path: PathBuf::from(params) }
        };
        let options = IvfOptions {
            dim,
            metric: match self.int("distance_type") {
                1 => Metric::Ip,
                2 => Metric::Cosine,
                _ => Metric::L2,
            },
            clustering,
            base64_encoded: self.int("base64_encoded") == 1,
            threads: if self.int("open_omp") == 1 { self.int("omp_thread_num") } else { 0 },
            ..IvfOptions::default()
        };
        Ok(Options { method: MethodOptions::Ivfflat(options), notices })
    }
}

/// `"ratio,k"`: the share of the rows to sample in thousandths, and the number of centroids.
fn parse_internal(params: &str, dim: usize, notices: &mut Vec<Notice>) -> Result<Clustering> {
    let parts: Vec<&str> = params.split(',').map(str::trim).collect();
    let parts = if params.trim().is_empty() { Vec::new() } else { parts };
    let [ratio_text, k_text] = parts.as_slice() else {
        return Err(invalid(format!(
            "cluster parameters format error, splits size:{}",
            parts.len()
        )));
    };
    // PASE keeps the whole sample in one allocation of at most 300 MB and warns early; the text is the document's.
    if dim >= 79 {
        notices.push(Notice::notice(format!(
            "vector dimension is huge, parameter (clustering_sample_ratio) should be set to ensure \
             the clustering count lower than {}",
            314_572_800 / (4 * dim)
        )));
    }
    let ratio = ratio_text.parse::<u32>().ok().filter(|r| (1..=1000).contains(r));
    let Some(sample_permille) = ratio else {
        return Err(invalid(format!(
            "clustering_sample_ratio[{ratio_text}] is illegal, should in (0, 1000]"
        )));
    };
    let Some(k) = k_text.parse::<usize>().ok().filter(|k| (1..=MAX_CENTROIDS).contains(k)) else {
        return Err(invalid(format!("k format error[{k_text}]")));
    };
    notices.push(Notice::notice(format!(
        "parse clustering parameters succeed, clustering_sample_ratio[{sample_permille}], k[{k}]"
    )));
    Ok(Clustering::Internal { sample_permille, k })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    fn parse(method: &str, given: &[(&str, &str)]) -> Result<Options> {
        let given: Vec<_> = given.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        parse_options(method, &given)
    }

    fn message(method: &str, given: &[(&str, &str)]) -> String {
        parse(method, given).unwrap_err().message().to_owned()
    }

    #[test]
    fn the_documents_options() {
        let hnsw = parse(
            "pase_hnsw",
            &[
                ("dim", "80"),
                ("base_nb_num", "16"),
                ("ef_build", "40"),
                ("ef_search", "200"),
                ("base64_encoded", "0"),
            ],
        );
        let MethodOptions::Hnsw(o) = hnsw.unwrap().method else { panic!() };
        assert_eq!((o.dim, o.m, o.ef_build, o.ef_search), (80, 16, 40, 200));

        let ivf = parse(
            "pase_ivfflat",
            &[
                ("clustering_type", "1"),
                ("distance_type", "0"),
                ("dimension", "80"),
                ("clustering_params", "100,1001"),
            ],
        )
        .unwrap();
        let MethodOptions::Ivfflat(o) = &ivf.method else { panic!() };
        assert_eq!(o.clustering, Clustering::Internal { sample_permille: 100, k: 1001 });
        let notices: Vec<_> = ivf.notices.iter().map(|n| n.report.message.as_str()).collect();
        assert_eq!(
            notices,
            [
                "vector dimension is huge, parameter (clustering_sample_ratio) should be set to ensure the \
                 clustering count lower than 983040",
                "parse clustering parameters succeed, clustering_sample_ratio[100], k[1001]",
            ]
        );
    }

    #[test]
    fn errors_in_postgresqls_words() {
        let e = parse("pase_hnsw", &[("dim", "0")]).unwrap_err();
        assert_eq!(e.message(), "value 0 out of bounds for option \"dim\"");
        assert_eq!(
            e.report().detail.as_deref(),
            Some("Valid values are between \"1\" and \"16000\".")
        );
        assert_eq!(message("pase_hnsw", &[("foo", "1")]), "unrecognized parameter \"foo\"");
        assert_eq!(
            message("pase_hnsw", &[("dim", "8"), ("dim", "9")]),
            "parameter \"dim\" specified more than once"
        );
        assert_eq!(
            message("pase_hnsw", &[("dim", "x")]),
            "invalid value for integer option \"dim\": x"
        );
    }

    #[test]
    fn errors_in_pases_words() {
        let with =
            |p| message("pase_ivfflat", &[("clustering_type", "1"), ("clustering_params", p)]);
        assert_eq!(with("0,5"), "clustering_sample_ratio[0] is illegal, should in (0, 1000]");
        assert_eq!(with("1001,5"), "clustering_sample_ratio[1001] is illegal, should in (0, 1000]");
        assert_eq!(with("10,x"), "k format error[x]");
        assert_eq!(with("10"), "cluster parameters format error, splits size:1");
        assert_eq!(with(""), "cluster parameters format error, splits size:0");
        assert_eq!(with("1,2,3"), "cluster parameters format error, splits size:3");
        assert_eq!(message("pase_ivfflat", &[]), "open centroid file[] failed");
    }
}
