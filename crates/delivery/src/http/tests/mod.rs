//! The routes over a catalog that says what the test wants.

mod flv;
mod pictures;
mod restricted;
mod scene;
mod tokens;
