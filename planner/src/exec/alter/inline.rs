//! Constraints written with a new column, as ALTER TABLE adds them: like those of a table, once the column is there.
//! What of them goes to partitions and children is then what it is for any other.

use sqlparser::ast::{
    CheckConstraint, ColumnDef, ColumnOption, ColumnOptionDef, ForeignKeyConstraint, Ident,
    PrimaryKeyConstraint, TableConstraint, UniqueConstraint,
};

/// The column without its constraints, and these.
pub(super) fn split(column: &ColumnDef) -> (ColumnDef, Vec<TableConstraint>) {
    let mut bare = column.clone();
    let options = std::mem::take(&mut bare.options);
    let mut constraints = Vec::new();
    for option in options {
        match of_table(&option, &column.name) {
            Some(constraint) => constraints.push(constraint),
            None => bare.options.push(option),
        }
    }
    (bare, constraints)
}

/// The constraint of a table that an option of a column is; `None` if it is of the column itself.
fn of_table(option: &ColumnOptionDef, column: &Ident) -> Option<TableConstraint> {
    let own = |name: &Option<Ident>| option.name.clone().or(name.clone());
    Some(match &option.option {
        ColumnOption::Check(c) => {
            TableConstraint::Check(CheckConstraint { name: own(&c.name), ..c.clone() })
        }
        ColumnOption::PrimaryKey(c) => TableConstraint::PrimaryKey(PrimaryKeyConstraint {
            name: own(&c.name),
            columns: vec![column.clone().into()],
            ..c.clone()
        }),
        ColumnOption::Unique(c) => TableConstraint::Unique(UniqueConstraint {
            name: own(&c.name),
            columns: vec![column.clone().into()],
            ..c.clone()
        }),
        ColumnOption::ForeignKey(c) => TableConstraint::ForeignKey(ForeignKeyConstraint {
            name: own(&c.name),
            columns: vec![column.clone()],
            ..c.clone()
        }),
        _ => return None,
    })
}
