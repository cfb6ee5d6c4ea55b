//! What callers may rely on, through the public calls and against the bundled model.

mod backing_up;
mod coming_and_going;
mod filtering;
mod full_disk;
mod isolation;
mod place;
mod scale;
mod surviving;
mod writing;
