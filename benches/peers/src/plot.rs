//! The scatter plot: what a call costs against what a SIGKILL loses, as SVG.
//!
//! Costs are on a logarithmic axis. So are losses, but a loss of nothing has its place too: one decade below one line.
//! Names are put beside their points where no other name and no point is; a line leads to those that had to go farther.

use crate::median;
use crate::rounds::Results;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::error::Error;
use std::path::Path;

const SIZE: (u32, u32) = (1000, 640);
const FONT_PX: i32 = 15;
/// Width of a letter of that font, a little more than the mean of a sans-serif.
const LETTER_PX: i32 = 7;
const DOT_PX: i32 = 5;
const OURS: RGBColor = RGBColor(200, 30, 30);
const OTHERS: RGBColor = RGBColor(60, 80, 110);

type Pixel = (i32, i32);

/// One row of the table.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    name: &'static str,
    /// Nanoseconds a call of the text with arguments.
    cost: f64,
    /// Lines lost in the median kill.
    lost: u64,
}

/// The rows of which both are known.
pub(crate) fn points(table: &[(&'static str, Results)]) -> Vec<Point> {
    let point = |(name, results): &(&'static str, Results)| {
        let cost = median::of(results.latencies.iter().map(|both| both[1].mean))?;
        Some(Point { name, cost, lost: median::of_lost(&results.kills)? })
    };
    table.iter().filter_map(point).collect()
}

/// Where a loss is on its axis: 0 at 0, one line at 1, ten at 2.
fn height(lost: u64) -> f64 {
    if lost == 0 { 0.0 } else { 1.0 + (lost as f64).log10() }
}

fn height_label(height: f64) -> String {
    let whole = height.round();
    match whole as i32 {
        _ if (height - whole).abs() > 1e-6 || height < -0.5 => String::new(),
        0 => "0".to_owned(),
        decade => format!("{:.0}", 10f64.powi(decade - 1)),
    }
}

/// Writes the plot of these points.
pub(crate) fn draw(path: &Path, points: &[Point]) -> Result<(), Box<dyn Error>> {
    let least = points.iter().map(|point| point.cost).fold(f64::MAX, f64::min).min(10.0);
    let most = points.iter().map(|point| point.cost).fold(0.0, f64::max).max(1000.0);
    let top = height(points.iter().map(|point| point.lost).max().unwrap_or(0)).max(6.0);
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What a call costs, and what a SIGKILL loses", ("sans-serif", 22))
        .margin(15)
        .x_label_area_size(50)
        .y_label_area_size(85)
        .build_cartesian_2d((least * 0.7..most * 2.5).log_scale(), -0.4..top + 0.4)?;
    chart
        .configure_mesh()
        .x_desc("nanoseconds a call, text with three arguments")
        .y_desc("lines lost at SIGKILL, median")
        .y_labels(top as usize + 2)
        .x_label_formatter(&|cost| format!("{cost:.0}"))
        .y_label_formatter(&|height| height_label(*height))
        .axis_desc_style(("sans-serif", FONT_PX))
        .label_style(("sans-serif", FONT_PX))
        .light_line_style(TRANSPARENT)
        .draw()?;
    let dots: Vec<Pixel> = points.iter().map(|point| chart.backend_coord(&(point.cost, height(point.lost)))).collect();
    let labels = place(points, &dots);
    for ((point, dot), label) in points.iter().zip(&dots).zip(labels) {
        let colour = if point.name.starts_with("lastwords") { OURS } else { OTHERS };
        if !label.is_beside(*dot) {
            root.draw(&PathElement::new([*dot, label.foot(*dot)], colour.mix(0.5)))?;
        }
        root.draw(&Circle::new(*dot, DOT_PX, colour.filled()))?;
        let (x, side) = label.anchor(*dot);
        let style = ("sans-serif", FONT_PX).into_font().color(&colour).pos(Pos::new(side, VPos::Top));
        root.draw(&Text::new(point.name, (x, label.top), style))?;
    }
    root.present()?;
    Ok(())
}

/// The room that a name or a dot takes.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: i32,
    top: i32,
    right: i32,
    bottom: i32,
}

impl Area {
    fn of_dot(dot: Pixel) -> Area {
        Area { left: dot.0 - DOT_PX, top: dot.1 - DOT_PX, right: dot.0 + DOT_PX, bottom: dot.1 + DOT_PX }
    }

    fn overlaps(&self, other: &Area) -> bool {
        self.left < other.right && other.left < self.right && self.top < other.bottom && other.top < self.bottom
    }

    fn is_inside(&self) -> bool {
        self.left > 100 && self.top > 45 && self.right < SIZE.0 as i32 - 15 && self.bottom < SIZE.1 as i32 - 70
    }

    fn is_beside(&self, dot: Pixel) -> bool {
        let wide = 3 * DOT_PX;
        let around = Area { left: dot.0 - wide, top: dot.1 - wide, right: dot.0 + wide, bottom: dot.1 + wide };
        self.overlaps(&around)
    }

    /// Where the name is fixed: on the side of its dot, for the font may be narrower than was assumed.
    fn anchor(&self, dot: Pixel) -> (i32, HPos) {
        if self.left > dot.0 {
            (self.left, HPos::Left)
        } else if self.right < dot.0 {
            (self.right, HPos::Right)
        } else {
            ((self.left + self.right) / 2, HPos::Center)
        }
    }

    /// Where the line from its dot ends: the nearest point of its border.
    fn foot(&self, dot: Pixel) -> Pixel {
        (dot.0.clamp(self.left, self.right), dot.1.clamp(self.top, self.bottom))
    }
}

/// A place for each name: the first one, from near to far, that is free.
fn place(points: &[Point], dots: &[Pixel]) -> Vec<Area> {
    let mut taken: Vec<Area> = dots.iter().map(|dot| Area::of_dot(*dot)).collect();
    let mut labels = Vec::new();
    for (point, dot) in points.iter().zip(dots) {
        let places = candidates(*dot, point.name.len() as i32 * LETTER_PX);
        let free = |area: &&Area| area.is_inside() && !taken.iter().any(|other| other.overlaps(area));
        let label = *places.iter().find(free).unwrap_or(&places[0]);
        taken.push(label);
        labels.push(label);
    }
    labels
}

fn candidates(dot: Pixel, width: i32) -> Vec<Area> {
    let gap = DOT_PX + 4;
    let area = |left: i32, middle: i32| Area {
        left,
        top: middle - FONT_PX / 2 - 1,
        right: left + width,
        bottom: middle + FONT_PX / 2 + 2,
    };
    let mut places = vec![area(dot.0 + gap, dot.1), area(dot.0 - gap - width, dot.1)];
    for step in 1..30 {
        for away in [-step * (FONT_PX + 4), step * (FONT_PX + 4)] {
            let sides = [dot.0 - width / 2, dot.0 + gap, dot.0 - gap - width];
            places.extend(sides.map(|left| area(left, dot.1 + away)));
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_of_nothing_has_a_place_on_the_axis() {
        assert_eq!((height(0), height(1), height(1000)), (0.0, 1.0, 4.0));
        assert_eq!([-1.0, 0.0, 0.5, 1.0, 4.0].map(height_label), ["", "0", "", "1", "1000"].map(str::to_owned));
    }

    #[test]
    fn names_do_not_overlap() {
        let dots: Vec<Pixel> = (0..15).map(|n| (400 + n * 3, 560 - n)).collect();
        let point = |_| Point { name: "flexi_logger-buffered", cost: 1.0, lost: 0 };
        let points: Vec<Point> = dots.iter().map(point).collect();
        let labels = place(&points, &dots);
        for (index, label) in labels.iter().enumerate() {
            assert!(!labels[..index].iter().any(|other| other.overlaps(label)), "{index}: {label:?}");
        }
    }
}
