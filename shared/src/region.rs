//! Which origin is nearest: the list of origins and great-circle distance.

use serde::{Deserialize, Serialize};

/// One regional origin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    pub name: String,
    /// Scheme and authority, without a trailing slash.
    pub url: String,
    /// Degrees, north and east positive.
    pub lat: f64,
    pub lon: f64,
}

/// A place on Earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    pub lat: f64,
    pub lon: f64,
}

/// Indexes of `origins`, nearest to `place` first; in the list's order where the place is unknown.
#[must_use]
pub fn nearest_first(origins: &[Origin], place: Option<Place>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..origins.len()).collect();
    if let Some(place) = place {
        let angles: Vec<f64> =
            origins.iter().map(|o| central_angle(place, Place { lat: o.lat, lon: o.lon })).collect();
        order.sort_by(|&a, &b| angles[a].total_cmp(&angles[b]));
    }
    order
}

/// The angle between two places seen from the Earth's centre, in radians (haversine formula, which keeps
/// its precision for places near each other).
fn central_angle(a: Place, b: Place) -> f64 {
    let (lat_a, lat_b) = (a.lat.to_radians(), b.lat.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.lon - a.lon).to_radians() / 2.0).sin();
    let h = half_lat * half_lat + lat_a.cos() * lat_b.cos() * half_lon * half_lon;
    2.0 * h.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(name: &str, lat: f64, lon: f64) -> Origin {
        Origin { name: name.into(), url: String::new(), lat, lon }
    }

    #[test]
    fn the_nearest_origin_comes_first_across_the_date_line() {
        let origins = [origin("fra", 50.1, 8.7), origin("sjc", 37.4, -121.9), origin("nrt", 35.8, 140.4)];
        let near = |lat, lon| nearest_first(&origins, Some(Place { lat, lon }));
        assert_eq!(near(48.9, 2.4), [0, 1, 2]);
        assert_eq!(near(21.3, -157.9)[0], 1);
        assert_eq!(near(-17.7, 178.1)[0], 2);
        assert_eq!(nearest_first(&origins, None), [0, 1, 2]);
    }
}
