//! The built-in catalog: PostgreSQL 15's own rows, as far as they have an implementation here, and
//! the rows of the bundled `pase` extension in the same form.
//!
//! The extracts under `data/` hold everything of `pg_catalog`. What is shown is decided once, when
//! the catalog is first asked for: a procedure is present when [`crate::registry`] knows its
//! `prosrc`, when the planner does ([`planner::PLANNER_SOURCES`]), or when it is the I/O function
//! or handler of something present; operators, casts, aggregates and operator classes follow the
//! procedures and types they need.

mod access;
mod planner;
mod procs;
mod tsv;
mod types;

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use vicinity_types::{Oid, oid};

pub use access::{AccessMethod, Amop, Amproc, Opclass, Opfamily};
pub use planner::PLANNER_SOURCES;
pub use procs::{AggregateInfo, Cast, Operator, Proc, is_polymorphic};
pub use types::{Collation, Description, Language, TypeInfo};

/// Namespace id of `pg_catalog`.
pub const PG_CATALOG: Oid = 11;
/// Namespace id of `public`.
pub const PUBLIC: Oid = 2200;

/// Everything, with its lookup tables.
struct Catalog {
    procs: Vec<Proc>,
    proc_by_oid: HashMap<Oid, usize>,
    procs_by_name: HashMap<&'static str, Vec<usize>>,
    operators: Vec<Operator>,
    operator_by_oid: HashMap<Oid, usize>,
    operators_by_name: HashMap<&'static str, Vec<usize>>,
    casts: Vec<Cast>,
    cast_by_types: HashMap<(Oid, Oid), usize>,
    aggregates: Vec<AggregateInfo>,
    aggregate_by_proc: HashMap<Oid, usize>,
    types: Vec<TypeInfo>,
    type_by_oid: HashMap<Oid, usize>,
    type_by_name: HashMap<&'static str, usize>,
    access_methods: Vec<AccessMethod>,
    opfamilies: Vec<Opfamily>,
    opclasses: Vec<Opclass>,
    amops: Vec<Amop>,
    amprocs: Vec<Amproc>,
    languages: Vec<Language>,
    collations: Vec<Collation>,
    descriptions: Vec<Description>,
    description_of: HashMap<(&'static str, Oid), usize>,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::load);

impl Catalog {
    fn load() -> Catalog {
        let types = types::load();
        let am = access::load_methods();
        let io: HashSet<Oid> = types
            .iter()
            .flat_map(|t| [t.input, t.output, t.receive, t.send, t.modin, t.modout])
            .chain(am.iter().map(|m| m.handler))
            .collect();
        let procs = procs::load(&io);
        let proc_by_oid: HashMap<Oid, usize> =
            procs.iter().enumerate().map(|(i, p)| (p.oid, i)).collect();
        let has = |proc: Oid| proc_by_oid.contains_key(&proc);
        let operators = procs::load_operators(&has);
        let operator_by_oid: HashMap<Oid, usize> =
            operators.iter().enumerate().map(|(i, o)| (o.oid, i)).collect();
        let casts = procs::load_casts(&has);
        let aggregates = procs::load_aggregates(&has);
        let opclasses = access::load_opclasses();
        let opfamilies = access::load_opfamilies(&opclasses);
        let families: HashSet<Oid> = opfamilies.iter().map(|f| f.oid).collect();
        let amops = access::load_amops(&families, &|op| operator_by_oid.contains_key(&op));
        let amprocs = access::load_amprocs(&families, &has);
        let descriptions = types::load_descriptions(&|class, object| match class {
            "pg_proc" => has(object),
            "pg_operator" => operator_by_oid.contains_key(&object),
            "pg_type" => types.iter().any(|t| t.oid == object),
            "pg_opclass" => opclasses.iter().any(|c| c.oid == object),
            "pg_opfamily" => families.contains(&object),
            "pg_cast" => casts.iter().any(|c| c.oid == object),
            _ => true,
        });
        Catalog {
            procs_by_name: by_name(&procs, |p| p.name),
            operators_by_name: by_name(&operators, |o| o.name),
            cast_by_types: casts
                .iter()
                .enumerate()
                .map(|(i, c)| ((c.source, c.target), i))
                .collect(),
            aggregate_by_proc: aggregates.iter().enumerate().map(|(i, a)| (a.proc, i)).collect(),
            type_by_oid: types.iter().enumerate().map(|(i, t)| (t.oid, i)).collect(),
            type_by_name: types.iter().enumerate().map(|(i, t)| (t.name, i)).collect(),
            description_of: descriptions
                .iter()
                .enumerate()
                .map(|(i, d)| ((d.class, d.object), i))
                .collect(),
            languages: types::load_languages(),
            collations: types::load_collations(),
            access_methods: am,
            procs,
            proc_by_oid,
            operators,
            operator_by_oid,
            casts,
            aggregates,
            types,
            opfamilies,
            opclasses,
            amops,
            amprocs,
            descriptions,
        }
    }
}

fn by_name<T>(items: &[T], name: impl Fn(&T) -> &'static str) -> HashMap<&'static str, Vec<usize>> {
    let mut map: HashMap<&'static str, Vec<usize>> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        map.entry(name(item)).or_default().push(i);
    }
    map
}

/// Whether values of a type can exist here.
fn type_exists(ty: Oid) -> bool {
    oid::kind(ty).is_some()
}

fn named<T>(
    items: &'static [T],
    map: &'static HashMap<&'static str, Vec<usize>>,
    name: &str,
) -> impl Iterator<Item = &'static T> {
    map.get(name).into_iter().flatten().filter_map(|i| items.get(*i))
}

/// Every procedure that exists, of all kinds, by id.
pub fn procs() -> &'static [Proc] {
    &CATALOG.procs
}

/// Names PostgreSQL has for types and functions that this catalog has not.
struct Lacking {
    types: HashSet<&'static str>,
    functions: HashSet<&'static str>,
}

static LACKING: LazyLock<Lacking> = LazyLock::new(|| Lacking {
    types: types::all_names().filter(|name| type_named(name).is_none()).collect(),
    functions: procs::all_names().filter(|name| procs_named(name).next().is_none()).collect(),
});

/// Whether PostgreSQL has a type of this name, which is not implemented.
pub fn lacks_type(name: &str) -> bool {
    LACKING.types.contains(name)
}

/// Whether PostgreSQL has functions of this name, none of which is implemented.
pub fn lacks_function(name: &str) -> bool {
    LACKING.functions.contains(name)
}

/// The procedure with an id.
pub fn proc_by_oid(proc: Oid) -> Option<&'static Proc> {
    CATALOG.procs.get(*CATALOG.proc_by_oid.get(&proc)?)
}

/// All overloads of a function name, those of extensions included (see [`Proc::extension`]).
pub fn procs_named(name: &str) -> impl Iterator<Item = &'static Proc> {
    named(&CATALOG.procs, &CATALOG.procs_by_name, name)
}

/// The overload whose declared argument types are exactly these.
pub fn proc_exact(name: &str, args: &[Oid]) -> Option<&'static Proc> {
    procs_named(name).find(|p| p.args == args)
}

/// Every operator that exists.
pub fn operators() -> &'static [Operator] {
    &CATALOG.operators
}

/// The operator with an id.
pub fn operator_by_oid(operator: Oid) -> Option<&'static Operator> {
    CATALOG.operators.get(*CATALOG.operator_by_oid.get(&operator)?)
}

/// All operators spelled so. Shell operators ([`Operator::is_shell`]) are among them.
pub fn operators_named(name: &str) -> impl Iterator<Item = &'static Operator> {
    named(&CATALOG.operators, &CATALOG.operators_by_name, name)
}

/// The operator whose operand types are exactly these (`left` 0 for a prefix operator).
pub fn operator_exact(name: &str, left: Oid, right: Oid) -> Option<&'static Operator> {
    operators_named(name).find(|o| o.left == left && o.right == right && !o.is_shell())
}

/// Every cast of `pg_cast` that exists.
pub fn casts() -> &'static [Cast] {
    &CATALOG.casts
}

/// The cast between two types; `None` where only I/O conversion remains (or nothing does).
pub fn cast(source: Oid, target: Oid) -> Option<&'static Cast> {
    CATALOG.casts.get(*CATALOG.cast_by_types.get(&(source, target))?)
}

/// Every aggregate that exists.
pub fn aggregates() -> &'static [AggregateInfo] {
    &CATALOG.aggregates
}

/// `pg_aggregate`'s row of a procedure.
pub fn aggregate_info(proc: Oid) -> Option<&'static AggregateInfo> {
    CATALOG.aggregates.get(*CATALOG.aggregate_by_proc.get(&proc)?)
}

/// Every built-in type that exists, arrays and pseudo-types included.
pub fn types() -> &'static [TypeInfo] {
    &CATALOG.types
}

/// The built-in type with an id.
pub fn type_by_oid(ty: Oid) -> Option<&'static TypeInfo> {
    CATALOG.types.get(*CATALOG.type_by_oid.get(&ty)?)
}

/// The built-in type with a `pg_type.typname` (`int4`, `_text`).
pub fn type_named(name: &str) -> Option<&'static TypeInfo> {
    CATALOG.types.get(*CATALOG.type_by_name.get(name)?)
}

/// `pg_am`'s rows.
pub fn access_methods() -> &'static [AccessMethod] {
    &CATALOG.access_methods
}

/// The access method with a name.
pub fn access_method_named(name: &str) -> Option<&'static AccessMethod> {
    CATALOG.access_methods.iter().find(|m| m.name == name)
}

/// The access method with an id.
pub fn access_method_by_oid(method: Oid) -> Option<&'static AccessMethod> {
    CATALOG.access_methods.iter().find(|m| m.oid == method)
}

/// `pg_opfamily`'s rows.
pub fn opfamilies() -> &'static [Opfamily] {
    &CATALOG.opfamilies
}

/// `pg_opclass`'s rows.
pub fn opclasses() -> &'static [Opclass] {
    &CATALOG.opclasses
}

/// The operator class with an id.
pub fn opclass_by_oid(class: Oid) -> Option<&'static Opclass> {
    CATALOG.opclasses.iter().find(|c| c.oid == class)
}

/// The operator class of an access method with a name, for a type; binary-coercible and array
/// types fall back as PostgreSQL's do (`varchar` to `text`, any array to `anyarray`).
pub fn opclass_named(method: Oid, name: &str, ty: Oid) -> Option<&'static Opclass> {
    let of = |wanted: Oid| {
        CATALOG.opclasses.iter().find(|c| c.method == method && c.name == name && c.input == wanted)
    };
    class_types(ty).into_iter().flatten().find_map(of)
}

/// The default operator class of an access method for a type.
pub fn default_opclass(method: Oid, ty: Oid) -> Option<&'static Opclass> {
    let of = |wanted: Oid| {
        CATALOG.opclasses.iter().find(|c| c.method == method && c.default && c.input == wanted)
    };
    class_types(ty).into_iter().flatten().find_map(of)
}

/// The types whose operator class serves `ty`, best first.
fn class_types(ty: Oid) -> [Option<Oid>; 3] {
    let base = match ty {
        oid::VARCHAR => Some(oid::TEXT),
        ty if vicinity_types::io::is_reg(ty) => Some(oid::OID),
        _ => None,
    };
    let poly = match oid::element_of(ty) {
        Some(_) if ty != oid::INT2VECTOR && ty != oid::OIDVECTOR => Some(oid::ANYARRAY),
        _ => None,
    };
    [Some(ty), base, poly]
}

/// `pg_amop`'s rows.
pub fn amops() -> &'static [Amop] {
    &CATALOG.amops
}

/// The rows of `pg_amop` for an operator.
pub fn amops_of(operator: Oid) -> impl Iterator<Item = &'static Amop> {
    CATALOG.amops.iter().filter(move |a| a.operator == operator)
}

/// `pg_amproc`'s rows.
pub fn amprocs() -> &'static [Amproc] {
    &CATALOG.amprocs
}

/// `pg_language`'s rows.
pub fn languages() -> &'static [Language] {
    &CATALOG.languages
}

/// `pg_collation`'s rows.
pub fn collations() -> &'static [Collation] {
    &CATALOG.collations
}

/// `pg_description`'s rows.
pub fn descriptions() -> &'static [Description] {
    &CATALOG.descriptions
}

/// The comment on a built-in object, by catalog name (`pg_proc`) and id.
pub fn description(class: &str, object: Oid) -> Option<&'static str> {
    let class = types::class_name(class)?;
    CATALOG.descriptions.get(*CATALOG.description_of.get(&(class, object))?).map(|d| d.text)
}
