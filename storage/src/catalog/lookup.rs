//! Finding things in a catalog.

use std::sync::Arc;

use vicinity_types::enums::Label;
use vicinity_types::{Kind, Oid, oid};

use super::Catalog;
use super::model::{
    Acl, ArgMode, Column, Comment, Constraint, ConstraintKind, DefaultAcl, Extension, ForeignKey,
    Function, IndexDef, Relation, RelationKind, Role, Schema, SequenceDef, SessionDefaults,
    TableDef, Trigger, TypeDef, TypeKind,
};

impl Catalog {
    /// A schema by id.
    pub fn schema(&self, oid: Oid) -> Option<&Arc<Schema>> {
        self.schemas.get(&oid)
    }

    /// A schema by name.
    pub fn schema_named(&self, name: &str) -> Option<&Arc<Schema>> {
        self.schemas.get(self.schema_names.get(name)?)
    }

    /// All schemas by id.
    pub fn schemas(&self) -> impl Iterator<Item = &Arc<Schema>> {
        self.schemas.values()
    }

    /// A table, index, sequence, view or composite type's relation by id.
    pub fn relation(&self, oid: Oid) -> Option<&Arc<Relation>> {
        self.relations.get(&oid)
    }

    /// A relation by schema and name.
    pub fn relation_named(&self, schema: Oid, name: &str) -> Option<&Arc<Relation>> {
        self.relations.get(self.relation_names.get(&(schema, name.to_owned()))?)
    }

    /// All relations by id.
    pub fn relations(&self) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values()
    }

    /// All relations of a schema, by id.
    pub fn relations_in(&self, schema: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        self.relations.values().filter(move |r| r.schema == schema)
    }

    /// The indexes of a table, in the order they were made.
    pub fn indexes_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        let list = self.indexes_of.get(&table);
        list.into_iter().flatten().filter_map(|oid| self.relations.get(oid))
    }

    /// The triggers of a table, in the order they were made.
    pub fn triggers_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Trigger>> {
        let list = self.triggers_of.get(&table);
        list.into_iter().flatten().filter_map(|oid| self.triggers.get(oid))
    }

    /// The tables that inherit from a table, its partitions among them, oldest first.
    pub fn children_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        let set = self.children_of.get(&table);
        set.into_iter().flatten().filter_map(|oid| self.relations.get(oid))
    }

    /// Whether any table inherits from a table.
    pub fn has_children(&self, table: Oid) -> bool {
        self.children_of.get(&table).is_some_and(|set| !set.is_empty())
    }

    /// The sequences that columns of a table own.
    pub fn sequences_of(&self, table: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        let list = self.sequences_of.get(&table);
        list.into_iter().flatten().filter_map(|oid| self.relations.get(oid))
    }

    /// The relations that read a relation, refer to it, or have a column of a type (not of its array
    /// type).
    pub fn dependents_of(&self, oid: Oid) -> impl Iterator<Item = &Arc<Relation>> {
        let list = self.dependents.get(&oid);
        list.into_iter().flatten().filter_map(|oid| self.relations.get(oid))
    }

    /// The foreign keys of other tables and its own that refer to a table, with their tables.
    pub fn references_to(
        &self,
        table: Oid,
    ) -> impl Iterator<Item = (&Arc<Relation>, &Constraint, &ForeignKey)> {
        let own = self.relation(table);
        let others = self.dependents_of(table).filter(move |r| r.oid != table);
        own.into_iter().chain(others).flat_map(move |r| {
            let constraints = r.table().map_or(&[][..], |t| &t.constraints);
            constraints.iter().filter_map(move |c| match &c.kind {
                ConstraintKind::ForeignKey(f) if f.table == table => Some((r, c, &**f)),
                _ => None,
            })
        })
    }

    /// A table's constraint by id, with the table.
    pub fn constraint(&self, oid: Oid) -> Option<(&Arc<Relation>, &Constraint)> {
        let relation = self.relations.get(self.constraints.get(&oid)?)?;
        let found = relation.table()?.constraints.iter().find(|c| c.oid == oid)?;
        Some((relation, found))
    }

    /// A user's or an extension's type by id.
    pub fn type_def(&self, oid: Oid) -> Option<&Arc<TypeDef>> {
        self.types.get(&oid)
    }

    /// A user's or an extension's type by schema and name.
    pub fn type_named(&self, schema: Oid, name: &str) -> Option<&Arc<TypeDef>> {
        self.types.get(self.type_names.get(&(schema, name.to_owned()))?)
    }

    /// All user types by id.
    pub fn types(&self) -> impl Iterator<Item = &Arc<TypeDef>> {
        self.types.values()
    }

    /// The relation whose rows have this type: a table's, view's or composite type's.
    pub fn relation_of_type(&self, type_oid: Oid) -> Option<&Arc<Relation>> {
        let relation = match self.row_types.get(&type_oid) {
            Some(relation) => *relation,
            None => match self.types.get(&type_oid)?.kind {
                TypeKind::Composite { relation } => relation,
                _ => return None,
            },
        };
        self.relations.get(&relation)
    }

    /// The element type of any array type, built-in or not.
    pub fn element_of(&self, array: Oid) -> Option<Oid> {
        oid::element_of(array).or_else(|| self.arrays.get(&array).copied())
    }

    /// The array type over any type, built-in or not.
    pub fn array_of(&self, elem: Oid) -> Option<Oid> {
        if let Some(array) = oid::array_of(elem) {
            return Some(array);
        }
        if let Some(t) = self.types.get(&elem) {
            return (t.array_oid != 0).then_some(t.array_oid);
        }
        match &self.relations.get(self.row_types.get(&elem)?)?.kind {
            RelationKind::Table(t) => Some(t.row_array_type),
            _ => None,
        }
    }

    /// How values of any type are held. Unknown ids are taken for composites.
    pub fn kind_of(&self, type_oid: Oid) -> Kind {
        if let Some(kind) = oid::kind(type_oid) {
            return kind;
        }
        if self.arrays.contains_key(&type_oid) {
            return Kind::Array;
        }
        match self.types.get(&type_oid).map(|t| &t.kind) {
            Some(TypeKind::Enum { .. }) => Kind::Enum,
            Some(TypeKind::Domain { base, .. }) if *base != type_oid => self.kind_of(*base),
            _ => Kind::Record,
        }
    }

    /// An enum's labels in order; a domain has those of the enum it is over.
    pub fn enum_labels(&self, type_oid: Oid) -> Option<&Arc<[Label]>> {
        match &self.types.get(&type_oid)?.kind {
            TypeKind::Enum { labels } => Some(labels),
            TypeKind::Domain { base, .. } if *base != type_oid => self.enum_labels(*base),
            _ => None,
        }
    }

    /// A function by id.
    pub fn function(&self, oid: Oid) -> Option<&Arc<Function>> {
        self.functions.get(&oid)
    }

    /// The functions of a name in a schema.
    pub fn functions_in(&self, schema: Oid, name: &str) -> impl Iterator<Item = &Arc<Function>> {
        let list = self.function_names.get(&(schema, name.to_owned()));
        list.into_iter().flatten().filter_map(|oid| self.functions.get(oid))
    }

    /// All user functions by id.
    pub fn functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values()
    }

    /// An extension by id.
    pub fn extension(&self, oid: Oid) -> Option<&Arc<Extension>> {
        self.extensions.get(&oid)
    }

    /// An extension by name.
    pub fn extension_named(&self, name: &str) -> Option<&Arc<Extension>> {
        self.extensions.get(self.extension_names.get(name)?)
    }

    /// All extensions by id.
    pub fn extensions(&self) -> impl Iterator<Item = &Arc<Extension>> {
        self.extensions.values()
    }

    /// A trigger by id.
    pub fn trigger(&self, oid: Oid) -> Option<&Arc<Trigger>> {
        self.triggers.get(&oid)
    }

    /// All triggers by id.
    pub fn triggers(&self) -> impl Iterator<Item = &Arc<Trigger>> {
        self.triggers.values()
    }

    /// A role by id.
    pub fn role(&self, oid: Oid) -> Option<&Arc<Role>> {
        self.roles.get(&oid)
    }

    /// A role by name.
    pub fn role_named(&self, name: &str) -> Option<&Arc<Role>> {
        self.roles.get(self.role_names.get(name)?)
    }

    /// All roles by id.
    pub fn roles(&self) -> impl Iterator<Item = &Arc<Role>> {
        self.roles.values()
    }

    /// The comment on an object (`pg_description`: class 1259 is pg_class ...).
    pub fn comment(&self, class: Oid, object: Oid, sub: i32) -> Option<&Arc<Comment>> {
        self.comments.get(&(object, class, sub))
    }

    /// The list of rights of an object, if it was ever changed; classes and sub ids as for comments.
    pub fn acl(&self, class: Oid, object: Oid, sub: i32) -> Option<&Arc<Acl>> {
        self.acls.get(&(object, class, sub))
    }

    /// What sessions of a database and a role begin with; 0 is every one.
    pub fn session_defaults(&self, database: Oid, role: Oid) -> Option<&Arc<SessionDefaults>> {
        self.session_defaults.get(&(database, role))
    }

    /// All that sessions begin with.
    pub fn all_session_defaults(&self) -> impl Iterator<Item = &Arc<SessionDefaults>> {
        self.session_defaults.values()
    }

    /// The list that what a role makes begins with.
    pub fn default_acl(&self, role: Oid, schema: Oid, kind: char) -> Option<&Arc<DefaultAcl>> {
        self.default_acls.get(&(role, schema, kind))
    }

    /// All such lists.
    pub fn default_acls(&self) -> impl Iterator<Item = &Arc<DefaultAcl>> {
        self.default_acls.values()
    }

    /// All lists of rights.
    pub fn acls(&self) -> impl Iterator<Item = &Arc<Acl>> {
        self.acls.values()
    }

    /// All comments by object.
    pub fn comments(&self) -> impl Iterator<Item = &Arc<Comment>> {
        self.comments.values()
    }
}

impl Relation {
    /// The columns of what has rows, or of a composite type; dropped ones included.
    pub fn columns(&self) -> Option<&[Column]> {
        match &self.kind {
            RelationKind::Table(t) => Some(&t.columns),
            RelationKind::View(v) => Some(&v.columns),
            RelationKind::Composite(columns) => Some(columns),
            RelationKind::Index(_) | RelationKind::Sequence(_) => None,
        }
    }

    /// The table's definition, if it is one.
    pub fn table(&self) -> Option<&TableDef> {
        match &self.kind {
            RelationKind::Table(t) => Some(t),
            _ => None,
        }
    }

    /// The index's definition, if it is one.
    pub fn index(&self) -> Option<&IndexDef> {
        match &self.kind {
            RelationKind::Index(i) => Some(i),
            _ => None,
        }
    }

    /// The sequence's definition, if it is one.
    pub fn sequence(&self) -> Option<&SequenceDef> {
        match &self.kind {
            RelationKind::Sequence(s) => Some(s),
            _ => None,
        }
    }
}

impl Function {
    /// The types by which a call picks among functions of one name.
    pub fn input_types(&self) -> Vec<Oid> {
        self.args
            .iter()
            .filter(|a| !matches!(a.mode, ArgMode::Out | ArgMode::Table))
            .map(|a| a.type_oid)
            .collect()
    }
}
