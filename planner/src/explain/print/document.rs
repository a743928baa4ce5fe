//! One document, in PostgreSQL's layout of each format.

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Field {
    Text(String),
    /// A number or truth value, as written.
    Number(String),
    List(Vec<String>),
    Group(Vec<(String, Field)>),
    /// Groups alike, and what each is called.
    Groups(&'static str, Vec<Vec<(String, Field)>>),
}

/// Labelled fields.
pub(super) fn fields<const N: usize>(of: [(&str, Field); N]) -> Vec<(String, Field)> {
    of.into_iter().map(|(label, field)| (label.to_owned(), field)).collect()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

/// An array of one object.
pub(super) fn json(query: &[(String, Field)]) -> String {
    let mut out = "[\n  ".to_owned();
    json_group(query, 1, &mut out);
    out + "\n]"
}

fn json_group(group: &[(String, Field)], depth: usize, out: &mut String) {
    out.push('{');
    for (i, (label, field)) in group.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        out.push_str(&format!("{comma}\n{}{}: ", "  ".repeat(depth + 1), quoted(label)));
        json_field(field, depth + 1, out);
    }
    out.push_str(&format!("\n{}}}", "  ".repeat(depth)));
}

fn json_field(field: &Field, depth: usize, out: &mut String) {
    match field {
        Field::Text(text) => out.push_str(&quoted(text)),
        Field::Number(number) => out.push_str(number),
        Field::List(list) => {
            let items: Vec<String> = list.iter().map(|t| quoted(t)).collect();
            out.push_str(&format!("[{}]", items.join(", ")));
        }
        Field::Group(group) => json_group(group, depth, out),
        Field::Groups(_, groups) => {
            out.push('[');
            for (i, group) in groups.iter().enumerate() {
                let comma = if i == 0 { "" } else { "," };
                out.push_str(&format!("{comma}\n{}", "  ".repeat(depth + 1)));
                json_group(group, depth + 1, out);
            }
            out.push_str(&format!("\n{}]", "  ".repeat(depth)));
        }
    }
}

/// An element `explain` around the query.
pub(super) fn xml(query: &[(String, Field)]) -> String {
    let mut out = "<explain xmlns=\"http://www.postgresql.org/2009/explain\">\n".to_owned();
    xml_group("Query", query, 1, &mut out);
    out + "</explain>"
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#x0d;"),
            c => out.push(c),
        }
    }
    out
}

fn xml_group(name: &str, group: &[(String, Field)], depth: usize, out: &mut String) {
    let pad = "  ".repeat(depth);
    out.push_str(&format!("{pad}<{name}>\n"));
    for (label, field) in group {
        let tag = label.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.', "-");
        let inner = "  ".repeat(depth + 1);
        match field {
            Field::Text(text) | Field::Number(text) => {
                out.push_str(&format!("{inner}<{tag}>{}</{tag}>\n", escaped(text)));
            }
            Field::List(list) => {
                out.push_str(&format!("{inner}<{tag}>\n"));
                for item in list {
                    out.push_str(&format!("{inner}  <Item>{}</Item>\n", escaped(item)));
                }
                out.push_str(&format!("{inner}</{tag}>\n"));
            }
            Field::Group(group) => xml_group(&tag, group, depth + 1, out),
            Field::Groups(each, groups) => {
                out.push_str(&format!("{inner}<{tag}>\n"));
                groups.iter().for_each(|group| xml_group(each, group, depth + 2, out));
                out.push_str(&format!("{inner}</{tag}>\n"));
            }
        }
    }
    out.push_str(&format!("{pad}</{name}>\n"));
}

/// A list of one group.
pub(super) fn yaml(query: &[(String, Field)]) -> String {
    let mut out = String::new();
    yaml_group(query, 0, &mut out);
    out.trim_end_matches('\n').to_owned()
}

/// A group as an item of a list: its first label follows the dash.
fn yaml_group(group: &[(String, Field)], depth: usize, out: &mut String) {
    for (i, (label, field)) in group.iter().enumerate() {
        let lead = if i == 0 { "- " } else { "  " };
        out.push_str(&format!("{}{lead}{label}: ", "  ".repeat(depth)));
        yaml_field(field, depth + 1, out);
    }
}

fn yaml_field(field: &Field, depth: usize, out: &mut String) {
    match field {
        Field::Text(text) => out.push_str(&format!("{}\n", quoted(text))),
        Field::Number(number) => out.push_str(&format!("{number}\n")),
        Field::List(list) => {
            out.push('\n');
            let pad = "  ".repeat(depth + 1);
            list.iter().for_each(|t| out.push_str(&format!("{pad}- {}\n", quoted(t))));
        }
        Field::Group(group) => {
            out.push('\n');
            for (label, field) in group {
                out.push_str(&format!("{}{label}: ", "  ".repeat(depth + 1)));
                yaml_field(field, depth + 1, out);
            }
        }
        Field::Groups(_, groups) => {
            out.push('\n');
            groups.iter().for_each(|group| yaml_group(group, depth + 1, out));
        }
    }
}
