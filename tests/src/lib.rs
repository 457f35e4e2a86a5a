//! End-to-end tests: the built programs, real clients, nothing faked. All of it is in `e2e/`; what it
//! needs to run programs and to watch streams is in the crate `testkit`.
