//! Who may do what with an object: access control lists.

use serde::{Deserialize, Serialize};
use vicinity_types::Oid;

/// A set of privileges, PostgreSQL's bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges(pub u16);

#[allow(missing_docs)]
impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(1 << 1);
    pub const UPDATE: Privileges = Privileges(1 << 2);
    pub const DELETE: Privileges = Privileges(1 << 3);
    pub const TRUNCATE: Privileges = Privileges(1 << 4);
    pub const REFERENCES: Privileges = Privileges(1 << 5);
    pub const TRIGGER: Privileges = Privileges(1 << 6);
    pub const EXECUTE: Privileges = Privileges(1 << 7);
    pub const USAGE: Privileges = Privileges(1 << 8);
    pub const CREATE: Privileges = Privileges(1 << 9);
    pub const TEMPORARY: Privileges = Privileges(1 << 10);
    pub const CONNECT: Privileges = Privileges(1 << 11);

    /// Each with its letter and its name.
    pub const ALL: [(Privileges, char, &'static str); 12] = [
        (Privileges::INSERT, 'a', "INSERT"),
        (Privileges::SELECT, 'r', "SELECT"),
        (Privileges::UPDATE, 'w', "UPDATE"),
        (Privileges::DELETE, 'd', "DELETE"),
        (Privileges::TRUNCATE, 'D', "TRUNCATE"),
        (Privileges::REFERENCES, 'x', "REFERENCES"),
        (Privileges::TRIGGER, 't', "TRIGGER"),
        (Privileges::EXECUTE, 'X', "EXECUTE"),
        (Privileges::USAGE, 'U', "USAGE"),
        (Privileges::CREATE, 'C', "CREATE"),
        (Privileges::TEMPORARY, 'T', "TEMPORARY"),
        (Privileges::CONNECT, 'c', "CONNECT"),
    ];

    /// Those of a table or view.
    pub const TABLE: Privileges = Privileges(0x7f);
    /// Those of a column.
    pub const COLUMN: Privileges = Privileges(1 | 1 << 1 | 1 << 2 | 1 << 5);
    pub const SEQUENCE: Privileges = Privileges(1 << 1 | 1 << 2 | 1 << 8);
    pub const FUNCTION: Privileges = Privileges::EXECUTE;
    pub const SCHEMA: Privileges = Privileges(1 << 8 | 1 << 9);
    pub const DATABASE: Privileges = Privileges(1 << 9 | 1 << 10 | 1 << 11);

    #[must_use]
    pub const fn and(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }

    #[must_use]
    pub const fn without(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }

    #[must_use]
    pub const fn common(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn contains(self, all: Privileges) -> bool {
        self.0 & all.0 == all.0
    }
}

/// What one role gave another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    /// Who has them; 0 is everybody.
    pub grantee: Oid,
    /// Who gave them.
    pub grantor: Oid,
    /// What may be done.
    pub privileges: Privileges,
    /// What may be given on.
    pub options: Privileges,
}

/// The list of an object that somebody has changed; without one the object's defaults hold. Keyed as
/// comments are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Acl {
    pub class: Oid,
    pub object: Oid,
    /// A column's number, or 0.
    pub sub: i32,
    pub items: Vec<AclItem>,
}

/// `ALTER DEFAULT PRIVILEGES`: the list that what a role makes begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DefaultAcl {
    pub oid: Oid,
    /// Who makes it.
    pub role: Oid,
    /// Where; 0 is anywhere, and replaces what the kind begins with; else it is added to that.
    pub schema: Oid,
    /// `pg_default_acl.defaclobjtype`: r, S, f, T or n.
    pub kind: char,
    pub items: Vec<AclItem>,
}
