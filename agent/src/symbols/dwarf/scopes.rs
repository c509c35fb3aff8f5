//! Which functions an svma is in: the one whose code it is, and those inlined there.

use gimli::{AttributeValue, EntriesRaw, UnitOffset};

use super::lines::Place;
use super::ranges;
use super::watch::{Halt, Watch};
use super::{Dwarf, Slice, Unit};

/// Most functions that share the code at an svma, and most that are inlined into each other there.
const CHAINS_LIMIT: usize = 8;
const LINKS_LIMIT: usize = 256;

/// A function around an svma.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its entry in the unit.
    pub entry: UnitOffset,
    pub inlined: bool,
    /// Where the next outer function calls it.
    pub call: Option<Place>,
    /// Size of the range that covers the svma.
    pub size: u64,
    depth: usize,
    number: u32,
}

/// A function and those inlined into each other there, the outermost first.
pub type Chain = Vec<Link>;

/// The chains around each of `svmas` (ascending).
pub fn find(
    dwarf: &Dwarf<'_>,
    unit: &Unit<'_>,
    svmas: &[u64],
    in_code: &impl Fn(u64) -> bool,
    watch: &mut Watch,
) -> Result<Vec<Vec<Chain>>, Halt> {
    let mut found = vec![Vec::<Chain>::new(); svmas.len()];
    // Numbers of the entries around the current one, by depth.
    let mut path = Vec::new();
    let mut entries = unit.entries_raw(None)?;
    let mut number = 0u32;
    while !entries.is_empty() {
        watch.step()?;
        let offset = entries.next_offset();
        let depth = usize::try_from(entries.next_depth()).unwrap_or(0);
        let Some(abbreviation) = entries.read_abbreviation()? else {
            continue;
        };
        number = number.wrapping_add(1);
        path.truncate(depth);
        path.push(number);
        let inlined = match abbreviation.tag() {
            gimli::DW_TAG_subprogram => false,
            gimli::DW_TAG_inlined_subroutine => true,
            _ => {
                for _ in abbreviation.attributes() {
                    watch.step()?;
                }
                entries.skip_attributes(abbreviation.attributes())?;
                continue;
            }
        };
        let function = Function::read(&mut entries, abbreviation, watch)?;
        function.for_each_range(dwarf, unit, watch, |begin, end, watch| {
            if !in_code(begin) {
                return Ok(());
            }
            let first = svmas.partition_point(|svma| *svma < begin);
            for position in first..svmas.len() {
                if svmas[position] >= end {
                    break;
                }
                watch.step()?;
                let link = Link {
                    entry: offset,
                    inlined,
                    call: function.call,
                    size: end - begin,
                    depth,
                    number,
                };
                add(&mut found[position], link, &path);
            }
            Ok(())
        })?;
    }
    Ok(found)
}

/// Adds a function to those around an svma. `path` are the entries around its own.
fn add(chains: &mut Vec<Chain>, link: Link, path: &[u32]) {
    if !link.inlined {
        if chains.len() < CHAINS_LIMIT {
            chains.push(vec![link]);
        }
        return;
    }
    let Some(chain) = chains.last_mut() else {
        return;
    };
    let encloses =
        |outer: &Link| outer.depth < link.depth && path.get(outer.depth) == Some(&outer.number);
    let Some(outer) = chain.iter().rposition(encloses) else {
        return;
    };
    match chain.get(outer + 1) {
        // Two functions inlined side by side claim the same code: the smaller one is the better
        // guess, as in binutils.
        Some(rival) if rival.size <= link.size => {}
        _ if outer + 1 < LINKS_LIMIT => {
            chain.truncate(outer + 1);
            chain.push(link);
        }
        _ => {}
    }
}

/// Attributes of a function's entry.
#[derive(Default)]
struct Function<'a> {
    low: Option<AttributeValue<Slice<'a>>>,
    high: Option<AttributeValue<Slice<'a>>>,
    ranges: Option<AttributeValue<Slice<'a>>>,
    call: Option<Place>,
}

impl<'a> Function<'a> {
    fn read(
        entries: &mut EntriesRaw<'_, Slice<'a>>,
        abbreviation: &gimli::Abbreviation,
        watch: &mut Watch,
    ) -> Result<Self, Halt> {
        let mut function = Self::default();
        let (mut file, mut line) = (None, None);
        for specification in abbreviation.attributes() {
            watch.step()?;
            let attribute = entries.read_attribute(*specification)?;
            match attribute.name() {
                gimli::DW_AT_low_pc => function.low = Some(attribute.value()),
                gimli::DW_AT_high_pc => function.high = Some(attribute.value()),
                gimli::DW_AT_ranges => function.ranges = Some(attribute.value()),
                gimli::DW_AT_call_file => {
                    file = match attribute.value() {
                        AttributeValue::FileIndex(index) => Some(index),
                        value => value.udata_value(),
                    }
                }
                gimli::DW_AT_call_line => line = attribute.udata_value(),
                _ => {}
            }
        }
        function.call = file.map(|file| Place::new(file, line.unwrap_or(0)));
        Ok(function)
    }

    /// Calls `visit` with the begin and the end of each range of its code.
    fn for_each_range(
        &self,
        dwarf: &Dwarf<'a>,
        unit: &Unit<'a>,
        watch: &mut Watch,
        visit: impl FnMut(u64, u64, &mut Watch) -> Result<(), Halt>,
    ) -> Result<(), Halt> {
        let attributes = [self.low, self.high, self.ranges];
        ranges::for_each(dwarf, unit, attributes, watch, visit)
    }
}
