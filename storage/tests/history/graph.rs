//! What a history shows: direct anomalies, and cycles of dependencies.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::run::{Done, Key, Mark, Step};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phenomenon {
    /// What was committed is not there, or lists that two saw are not of one row.
    LostUpdate,
    /// G1a: what somebody wrote who then rolled back.
    AbortedRead,
    /// G1b: what somebody wrote who then wrote more.
    IntermediateRead,
    /// Not what oneself has written.
    Internal,
    /// Twice, and not the same.
    NonRepeatable,
    /// A cycle of writes alone.
    G0,
    /// A cycle of writes, and of reads of what was written.
    G1c,
    /// A cycle in which no two reads of something old follow each other: snapshots exclude it.
    GSingle,
    /// Any cycle: serializable transactions exclude it.
    G2,
}

use Phenomenon::*;

pub type Verdicts = Vec<(Phenomenon, String)>;

/// Number of a transaction in the history.
type Txn = usize;

/// Everything that is wrong with a history by some level's rules.
pub fn judge(history: &[Done]) -> Verdicts {
    let mut out = Verdicts::new();
    let writers = writers(history);
    let orders = orders(history, &mut out);
    lost(history, &orders, &mut out);
    for done in history.iter().filter(|d| d.committed) {
        dirty(history, done, &writers, &mut out);
        inner(done, &mut out);
    }
    let edges = dependencies(history, &writers, &orders);
    cycles(history, &edges, &mut out);
    out
}

fn writers(history: &[Done]) -> HashMap<Mark, Txn> {
    let mut all = HashMap::new();
    for (n, done) in history.iter().enumerate() {
        for step in &done.steps {
            if let Step::Append(_, mark) = step {
                all.insert(*mark, n);
            }
        }
    }
    all
}

/// The order of each key's versions: the longest list anybody saw, of which all others are beginnings.
fn orders(history: &[Done], out: &mut Verdicts) -> BTreeMap<Key, Vec<Mark>> {
    let mut orders: BTreeMap<Key, Vec<Mark>> = BTreeMap::new();
    let committed = || history.iter().filter(|d| d.committed).flat_map(outer_reads);
    for (key, list) in committed() {
        let order = orders.entry(key).or_default();
        if list.len() > order.len() {
            *order = list.to_vec();
        }
    }
    for (key, list) in committed() {
        let order = &orders[&key];
        if !order.starts_with(list) {
            out.push((LostUpdate, format!("key {key}: {list:?} is no beginning of {order:?}")));
        }
    }
    orders
}

/// Reads of a key before the transaction itself wrote to it.
fn outer_reads(done: &Done) -> impl Iterator<Item = (Key, &[Mark])> {
    let mut mine = HashSet::new();
    done.steps.iter().filter_map(move |step| match step {
        Step::Append(key, _) => {
            mine.insert(*key);
            None
        }
        Step::Read(key, list) => (!mine.contains(key)).then_some((*key, list.as_slice())),
    })
}

fn lost(history: &[Done], orders: &BTreeMap<Key, Vec<Mark>>, out: &mut Verdicts) {
    for done in history.iter().filter(|d| d.committed) {
        for step in &done.steps {
            let Step::Append(key, mark) = step else { continue };
            if !orders.get(key).is_some_and(|order| order.contains(mark)) {
                out.push((LostUpdate, format!("{mark} is not in key {key}")));
            }
        }
    }
}

fn dirty(history: &[Done], done: &Done, writers: &HashMap<Mark, Txn>, out: &mut Verdicts) {
    for (key, list) in outer_reads(done) {
        for mark in list {
            if !history[writers[mark]].committed {
                out.push((AbortedRead, format!("{mark} in key {key}")));
            }
        }
        let Some(last) = list.last() else { continue };
        let writer = &history[writers[last]];
        let of_key = |s: &&Step| matches!(s, Step::Append(k, _) if *k == key);
        let end = writer.steps.iter().rev().find(of_key);
        if !matches!(end, Some(Step::Append(_, mark)) if mark == last) {
            out.push((IntermediateRead, format!("{last} in key {key}")));
        }
    }
}

/// Within a transaction: one's own writes are seen, and what is read again is the same.
fn inner(done: &Done, out: &mut Verdicts) {
    let mut before: HashMap<Key, &[Mark]> = HashMap::new();
    let mut mine: HashMap<Key, Vec<Mark>> = HashMap::new();
    for step in &done.steps {
        match step {
            Step::Append(key, mark) => mine.entry(*key).or_default().push(*mark),
            Step::Read(key, list) => {
                let own = mine.get(key).map_or(&[][..], Vec::as_slice);
                if !list.ends_with(own) {
                    out.push((Internal, format!("key {key}: {list:?} without {own:?}")));
                }
                let others = &list[..list.len().saturating_sub(own.len())];
                if before.insert(*key, others).is_some_and(|b| b != others) {
                    out.push((NonRepeatable, format!("key {key}: {others:?}")));
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Edge {
    WriteWrite,
    WriteRead,
    ReadWrite,
}

type Edges = HashSet<(Txn, Txn, Edge)>;

fn dependencies(
    history: &[Done],
    writers: &HashMap<Mark, Txn>,
    orders: &BTreeMap<Key, Vec<Mark>>,
) -> Edges {
    let mut edges = Edges::new();
    let mut add = |from: Txn, to: Txn, edge: Edge| {
        if from != to {
            edges.insert((from, to, edge));
        }
    };
    for order in orders.values() {
        for pair in order.windows(2) {
            add(writers[&pair[0]], writers[&pair[1]], Edge::WriteWrite);
        }
    }
    for (n, done) in history.iter().enumerate().filter(|(_, d)| d.committed) {
        for (key, list) in outer_reads(done) {
            if let Some(last) = list.last() {
                add(writers[last], n, Edge::WriteRead);
            }
            if let Some(next) = orders[&key].get(list.len()) {
                add(n, writers[next], Edge::ReadWrite);
            }
        }
    }
    edges
}

fn cycles(history: &[Done], edges: &Edges, out: &mut Verdicts) {
    let count = history.len();
    let of = |wanted: &[Edge]| -> Vec<(Txn, Txn)> {
        edges.iter().filter(|(.., e)| wanted.contains(e)).map(|(a, b, _)| (*a, *b)).collect()
    };
    let mut report = |phenomenon: Phenomenon, graph: &[(Txn, Txn)], count: usize| {
        if let Some(cycle) = cycle(graph, count) {
            out.push((phenomenon, format!("{cycle:?}")));
        }
    };
    report(G0, &of(&[Edge::WriteWrite]), count);
    let known = of(&[Edge::WriteWrite, Edge::WriteRead]);
    report(G1c, &known, count);
    report(G2, &of(&[Edge::WriteWrite, Edge::WriteRead, Edge::ReadWrite]), count);
    // Snapshots allow cycles with two reads of old versions in a row, and no others: with at most one such read behind
    // each other step, and with what ended before another began as a step too, there is none.
    let mut steps = known;
    for (a, one) in history.iter().enumerate() {
        let later = history.iter().enumerate().filter(|(_, other)| one.time.1 < other.time.0);
        steps.extend(later.filter(|_| one.committed).map(|(b, _)| (a, b)));
    }
    let mut old: HashMap<Txn, Vec<Txn>> = HashMap::new();
    for (a, b) in of(&[Edge::ReadWrite]) {
        old.entry(a).or_default().push(b);
    }
    let mut graph: HashSet<(Txn, Txn)> = steps.iter().copied().collect();
    for (a, b) in &steps {
        graph.extend(old.get(b).into_iter().flatten().map(|c| (*a, *c)));
    }
    report(GSingle, &graph.into_iter().collect::<Vec<_>>(), count);
}

/// A cycle, if there is one: what remains when everything without a way in or out is taken away.
fn cycle(edges: &[(Txn, Txn)], count: usize) -> Option<Vec<Txn>> {
    let mut next: Vec<Vec<Txn>> = vec![Vec::new(); count];
    edges.iter().for_each(|(a, b)| next[*a].push(*b));
    // 0: not seen, 1: on the way, 2: done.
    let mut state = vec![0u8; count];
    for start in 0..count {
        if state[start] != 0 {
            continue;
        }
        let mut way: Vec<(Txn, usize)> = vec![(start, 0)];
        state[start] = 1;
        while let Some((at, i)) = way.last_mut() {
            let Some(to) = next[*at].get(*i).copied() else {
                state[*at] = 2;
                way.pop();
                continue;
            };
            *i += 1;
            match state[to] {
                0 => {
                    state[to] = 1;
                    way.push((to, 0));
                }
                1 => {
                    let from = way.iter().position(|(t, _)| *t == to)?;
                    return Some(way[from..].iter().map(|(t, _)| *t).collect());
                }
                _ => {}
            }
        }
    }
    None
}
