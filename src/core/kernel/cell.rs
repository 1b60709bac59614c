//! From a value to the few edges near it, without a search.
//!
//! A monotone map sends the line to a few thousand cells; a table holds, for each cell, how many edges lie in the cells
//! before it. Whatever the map rounds, an edge in an earlier cell is below the value and one in a later cell is above
//! it, so only the edges of the value's own cell are compared, and the bin is exactly the one a binary search finds.
//!
//! Equal cells suit most columns. Heavy-tailed ones crowd their edges into a few of those; a map that is linear near a
//! center and logarithmic away from it spreads them again. The first map that crowds little is chosen with the edges.

use super::wide::widest;

/// Sizes of tables that are tried, in cells; powers of two. The largest takes 32 KiB.
const SIZES: [usize; 3] = [1 << 10, 1 << 12, 1 << 14];
/// With no more edges than this in the fullest cell, a table is as fast as it gets.
const CROWD_GOOD: usize = 2;
/// Values whose cells are found together: few, so that the cells stay in the first-level cache.
const BLOCK: usize = 256;
/// How many widths of the linear part of a logarithmic map are tried, each four times the one before.
const WIDTHS: usize = 24;
/// From 2^52 to 2^53 floats are integers: the low bits of `x + 2^52` are `x`, rounded.
const INTEGERS: f64 = 4_503_599_627_370_496.0;

/// A count that goes up one by one.
pub trait Count {
    /// One more.
    fn add_one(&mut self);
}

impl Count for u32 {
    #[inline]
    fn add_one(&mut self) {
        *self += 1;
    }
}

impl Count for u64 {
    #[inline]
    fn add_one(&mut self) {
        *self += 1;
    }
}

/// The table of one list of edges.
#[derive(Debug, Clone)]
pub(super) struct EdgeTable {
    map: Map,
    /// Edges in the cells before this one; a power of two of them.
    before: Vec<u16>,
    /// The edges, and after them enough times +inf, which is below no value.
    edges: Vec<f64>,
    /// Edges that are compared: no cell holds more.
    crowd: usize,
}

impl EdgeTable {
    /// The table for strictly increasing finite edges.
    pub(super) fn new(edges: &[f64]) -> Self {
        let linear = SIZES.iter().map(|&size| (Map::Linear(Linear::over(edges, size)), size));
        let logarithmic = Logarithmic::over(edges).map(|(map, size)| (Map::Logarithmic(map), size));
        let mut best = (usize::MAX, Map::Linear(Linear::POINT), SIZES[0]);
        for (map, size) in linear.chain(logarithmic) {
            let crowd = crowd(&map.cells_of(edges));
            if crowd < best.0 {
                best = (crowd, map, size);
            }
            if crowd <= CROWD_GOOD {
                break;
            }
        }
        let (crowd, map, size) = best;
        Self::build(map, size, crowd, edges)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the cell")]
    fn build(map: Map, size: usize, crowd: usize, edges: &[f64]) -> Self {
        let mut before = vec![0_u16; size];
        for cell in map.cells_of(edges) {
            if let Some(next) = before.get_mut((cell as usize & (size - 1)) + 1) {
                *next += 1;
            }
        }
        let mut total = 0;
        for n in &mut before {
            total += *n;
            *n = total;
        }
        let crowd = crowd.max(1).next_power_of_two();
        let edges = edges.iter().copied().chain(std::iter::repeat_n(f64::INFINITY, crowd)).collect();
        Self { map, before, edges, crowd }
    }

    /// Adds one to the count of each value's bin. There is a count for every bin.
    pub(super) fn count<C: Count>(&self, values: &[f64], counts: &mut [C]) {
        let n_edges = self.edges.len() - self.crowd;
        let counts = &mut counts[..=n_edges];
        let mut cells = [0; BLOCK];
        for block in values.chunks(BLOCK) {
            let cells = &mut cells[..block.len()];
            self.map.cells(block, cells);
            match self.crowd {
                1 => self.compare::<1, C>(block, cells, counts),
                2 => self.compare::<2, C>(block, cells, counts),
                4 => self.compare::<4, C>(block, cells, counts),
                _ => self.search(block, cells, counts),
            }
        }
    }

    /// From cells to bins: adds the edges below the value among the `N` that its cell may hold.
    #[expect(unsafe_code, reason = "the check of a bin that cannot be out of range takes a tenth of the time")]
    fn compare<const N: usize, C: Count>(&self, values: &[f64], cells: &[u64], counts: &mut [C]) {
        for (&cell, &value) in cells.iter().zip(values) {
            let (before, near) = self.near(cell, N);
            let bin = near.iter().fold(before, |bin, &edge| bin + usize::from(edge < value));
            // SAFETY: `bin` is at most the number of edges, since no +inf after them is below a value; `count` made
            // `counts` one longer than that.
            unsafe { counts.get_unchecked_mut(bin) }.add_one();
        }
    }

    /// The same for crowded cells.
    fn search<C: Count>(&self, values: &[f64], cells: &[u64], counts: &mut [C]) {
        for (&cell, &value) in cells.iter().zip(values) {
            let (before, near) = self.near(cell, self.crowd);
            counts[before + near.partition_point(|&edge| edge < value)].add_one();
        }
    }

    /// The edges before a cell, and the `n` at most [`EdgeTable::crowd`] ones that it may hold.
    #[inline]
    #[expect(unsafe_code, reason = "the check of edges that are always there takes a tenth of the time")]
    #[expect(clippy::cast_possible_truncation, reason = "the low bits are the cell")]
    fn near(&self, cell: u64, n: usize) -> (usize, &[f64]) {
        debug_assert!(n <= self.crowd, "no cell holds more than the fullest");
        let before = usize::from(self.before[cell as usize & (self.before.len() - 1)]);
        // SAFETY: no more edges are before a cell than there are, and `build` has put `crowd` times +inf after them.
        (before, unsafe { self.edges.get_unchecked(before..before + n) })
    }
}

/// Edges in the fullest cell; `cells` never decrease.
fn crowd(cells: &[u64]) -> usize {
    cells.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0)
}

/// A monotone map from the line to cells. The low bits of what it gives are the cell; those above are the same for all.
#[derive(Debug, Clone)]
enum Map {
    Linear(Linear),
    Logarithmic(Logarithmic),
}

impl Map {
    fn cells(&self, values: &[f64], cells: &mut [u64]) {
        let pairs = cells.iter_mut().zip(values);
        match self {
            Self::Linear(map) => widest(|| pairs.for_each(|(cell, &value)| *cell = map.cell(value))),
            Self::Logarithmic(map) => widest(|| pairs.for_each(|(cell, &value)| *cell = map.cell(value))),
        }
    }

    fn cells_of(&self, edges: &[f64]) -> Vec<u64> {
        let mut cells = vec![0; edges.len()];
        self.cells(edges, &mut cells);
        cells
    }
}

/// Equal cells between the first and the last edge.
#[derive(Debug, Clone)]
struct Linear {
    low: f64,
    high: f64,
    scale: f64,
}

impl Linear {
    /// The whole line is one cell.
    const POINT: Self = Self { low: 0.0, high: 0.0, scale: 0.0 };

    #[expect(clippy::cast_precision_loss, reason = "a few thousand cells")]
    fn over(edges: &[f64], size: usize) -> Self {
        let (Some(&low), Some(&high)) = (edges.first(), edges.last()) else { return Self::POINT };
        let scale = (size - 1) as f64 / (high - low);
        let spans = (high - low).is_finite() && scale.is_finite();
        if spans { Self { low, high, scale } } else { Self::POINT }
    }

    #[inline]
    fn cell(&self, value: f64) -> u64 {
        ((hold(value, self.low, self.high) - self.low) * self.scale + INTEGERS).to_bits()
    }
}

/// Cells that are equal near a center and, away from it, grow like a floating-point number's steps do.
#[derive(Debug, Clone)]
struct Logarithmic {
    low: f64,
    high: f64,
    center: f64,
    scale: f64,
    /// Bits of `1 + distance` that do not tell cells apart.
    shift: u32,
    /// What is left of `1`: no step at all.
    origin: u64,
    /// Added, so that the lowest cell is 0.
    offset: u64,
}

impl Logarithmic {
    /// Maps around a few centers and with many widths, those with fewer cells first.
    fn over(edges: &[f64]) -> impl Iterator<Item = (Self, usize)> {
        let gap = small_gap(edges);
        let centers = [edges.first(), edges.get(edges.len() / 2), edges.last()];
        let widths = (0..WIDTHS).map(move |step| libm::scalbn(gap, 2 * i32::try_from(step).expect("a few")));
        SIZES[1..].iter().flat_map(move |&size| {
            let maps = centers.into_iter().flatten().flat_map({
                let widths = widths.clone();
                move |&center| widths.clone().filter_map(move |width| Self::around(center, width, edges, size))
            });
            maps.map(move |map| (map, size))
        })
    }

    fn around(center: f64, width: f64, edges: &[f64], size: usize) -> Option<Self> {
        let scale = 1.0 / width;
        if !(scale > 0.0 && scale.is_finite()) {
            return None;
        }
        let (&low, &high) = edges.first().zip(edges.last())?;
        (32..=52).find_map(|shift| {
            let origin = 1.0_f64.to_bits() >> shift;
            let map = Self { low, high, center, scale, shift, origin, offset: 0 };
            let offset = map.steps(low).wrapping_neg();
            let last = map.steps(high).wrapping_add(offset);
            (last < size as u64).then_some(Self { offset, ..map })
        })
    }

    /// Steps from the center, as two's complement: 0 and up on one side, -1 and down on the other.
    #[inline]
    fn steps(&self, value: f64) -> u64 {
        let distance = (hold(value, self.low, self.high) - self.center) * self.scale;
        let steps = ((distance.abs() + 1.0).to_bits() >> self.shift).wrapping_sub(self.origin);
        steps ^ (distance.to_bits().cast_signed() >> 63).cast_unsigned()
    }

    #[inline]
    fn cell(&self, value: f64) -> u64 {
        self.steps(value).wrapping_add(self.offset)
    }
}

/// A distance between neighbouring edges that few fall short of: some edges are deliberately neighbouring floats.
fn small_gap(edges: &[f64]) -> f64 {
    let mut gaps: Vec<f64> = edges.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_by(f64::total_cmp);
    gaps.get(gaps.len() / 32).copied().unwrap_or(1.0)
}

/// `value`, held within `[low, high]`; unlike `clamp` without a check that they are in order.
#[inline]
fn hold(value: f64, low: f64, high: f64) -> f64 {
    let value = if value > low { value } else { low };
    if value < high { value } else { high }
}

#[cfg(test)]
mod tests;
