//! Principal components: the directions in which the vectors differ most.

use nalgebra::{DMatrix, DVector, SymmetricEigen};
use perigee_shared::static_model::DIMENSIONS;

/// Takes the mean off the vectors and projects them onto their first principal components, most variance first.
///
/// Shape: `[n, any]` to `[n, 64]`. In `f64` and in a fixed order; a component's largest number is made positive, for its
/// sign is anybody's choice.
pub(crate) fn onto_principal_components(vectors: &[Vec<f32>]) -> Vec<[f32; DIMENSIONS]> {
    let width = vectors.first().map_or(0, Vec::len);
    let all = DMatrix::from_fn(vectors.len(), width, |row, column| f64::from(vectors[row][column]));
    let mean = all.row_mean();
    let centred = DMatrix::from_fn(vectors.len(), width, |row, column| all[(row, column)] - mean[column]);
    let covariance = centred.tr_mul(&centred) / vectors.len().max(1) as f64;
    let components = components(covariance);
    let projected = centred * components;
    projected
        .row_iter()
        .map(|row| std::array::from_fn(|column| row.get(column).map_or(0.0, |number| *number as f32)))
        .collect()
}

/// The eigenvectors of the 64 largest eigenvalues, in columns.
fn components(covariance: DMatrix<f64>) -> DMatrix<f64> {
    let eigen = SymmetricEigen::new(covariance);
    let mut order: Vec<usize> = (0..eigen.eigenvalues.len()).collect();
    order.sort_by(|a, b| eigen.eigenvalues[*b].total_cmp(&eigen.eigenvalues[*a]));
    let columns: Vec<DVector<f64>> = order
        .into_iter()
        .take(DIMENSIONS)
        .map(|index| upright(eigen.eigenvectors.column(index).into()))
        .collect();
    DMatrix::from_columns(&columns)
}

fn upright(component: DVector<f64>) -> DVector<f64> {
    if component[component.iamax()] < 0.0 { -component } else { component }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_component_is_the_direction_of_most_variance() {
        // Along (1, 1) they differ by ten times what they differ by along (1, -1).
        let vectors: Vec<Vec<f32>> = [(10.0, 1.0), (-10.0, 1.0), (10.0, -1.0), (-10.0, -1.0)]
            .map(|(along, across)| vec![5.0 + along + across, along - across])
            .into();
        let projected = onto_principal_components(&vectors);
        for (row, along) in projected.iter().zip([10.0, -10.0, 10.0, -10.0]) {
            assert!((row[0] - along * 2.0_f32.sqrt()).abs() < 1e-5, "{row:?}");
            assert!((row[1].abs() - 2.0_f32.sqrt()).abs() < 1e-5 && row[2..].iter().all(|n| *n == 0.0));
        }
    }
}
