//! Curves as SVG: the panels of a figure beside each other, each with its legend.
//!
//! Logarithmic axes are linear ones over the logarithm, with labels that undo it; so every panel is of one type.

use super::report::{Figure, Panel, Scale};
use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

const PANEL_WIDTH: u32 = 460;
const HEIGHT: u32 = 360;
const FONT: &str = "sans-serif";
/// Colours that people with any kind of colour vision can distinguish.
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Writes `<folder>/<name>.svg`.
pub(crate) fn draw(figure: &Figure, folder: &Path) {
    let path = folder.join(format!("{}.svg", figure.name));
    draw_to(figure, &path).unwrap_or_else(|error| panic!("{} cannot be drawn: {error}", path.display()));
    eprintln!("{} written", path.display());
}

fn draw_to(figure: &Figure, path: &Path) -> Result<(), Box<dyn Error>> {
    let panels = figure.panels.len();
    let root = SVGBackend::new(path, (PANEL_WIDTH * panels as u32, HEIGHT)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, panel) in root.split_evenly((1, panels)).iter().zip(&figure.panels) {
        draw_panel(panel, area)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(panel: &Panel, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), Box<dyn Error>> {
    let points = || panel.curves.iter().flat_map(|curve| &curve.points);
    let x = Range::of(panel.x.scale, points().map(|point| point.0), 0.0);
    // The legend lies above the curves.
    let y = Range::of(panel.y.scale, points().map(|point| point.1), 0.1 + 0.1 * panel.curves.len() as f64);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, (FONT, 17))
        .margin(10)
        .margin_right(26)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x.from..x.to, y.from..y.to)?;
    chart
        .configure_mesh()
        .x_desc(panel.x.label)
        .y_desc(panel.y.label)
        .axis_desc_style((FONT, 14))
        .label_style((FONT, 12))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_labels(x.marks)
        .y_labels(y.marks)
        .x_label_formatter(&|place| label(panel.x.scale, *place))
        .y_label_formatter(&|place| label(panel.y.scale, *place))
        .draw()?;
    for ((number, curve), colour) in panel.curves.iter().enumerate().zip(COLOURS.iter().cycle()) {
        let places: Vec<(f64, f64)> =
            curve.points.iter().map(|(at, value)| (place(panel.x.scale, *at), place(panel.y.scale, *value))).collect();
        // Where curves lie on each other, the smaller dots of the later ones leave a rim of the earlier.
        let radius = 2 + (panel.curves.len() - number) as u32;
        let dots = places.iter().map(|place| Circle::new(*place, radius, colour.filled()));
        chart
            .draw_series(LineSeries::new(places.iter().copied(), colour.stroke_width(2)))?
            .label(&curve.name)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], colour.stroke_width(2)));
        chart.draw_series(dots)?;
    }
    if panel.curves.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font((FONT, 13))
            .background_style(WHITE.mix(0.8))
            .draw()?;
    }
    Ok(())
}

/// The part of an axis that is shown, in places.
struct Range {
    from: f64,
    to: f64,
    /// About how many labels it gets.
    marks: usize,
}

impl Range {
    /// Holds all values, and `headroom` of itself above them.
    fn of(scale: Scale, values: impl Iterator<Item = f64>, headroom: f64) -> Range {
        let places: Vec<f64> = values.map(|value| place(scale, value)).collect();
        let least = places.iter().copied().fold(f64::INFINITY, f64::min);
        let most = places.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        match scale {
            Scale::Linear => Range { from: 0.0, to: (most * (1.0 + headroom)).max(1.0), marks: 7 },
            Scale::Doubling | Scale::Decades => {
                let from = least.floor();
                let to = (most + headroom * (most - from)).ceil().max(from + 1.0);
                Range { from, to, marks: (to - from) as usize + 1 }
            }
        }
    }
}

fn place(scale: Scale, value: f64) -> f64 {
    match scale {
        Scale::Linear => value,
        Scale::Doubling => value.log2(),
        Scale::Decades => value.log10(),
    }
}

/// The label at a place. Places between the powers of a logarithmic axis get none.
fn label(scale: Scale, place: f64) -> String {
    let whole = (place - place.round()).abs() < 1e-6;
    match scale {
        Scale::Linear if whole => format!("{place:.0}"),
        Scale::Linear => format!("{place:.1}"),
        Scale::Doubling if whole => format!("{:.0}", place.exp2()),
        Scale::Decades if whole => format!("{:.0}", 10f64.powf(place)),
        Scale::Doubling | Scale::Decades => String::new(),
    }
}
