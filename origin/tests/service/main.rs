//! The origin as its clients meet it: over HTTP, on a port of its own, with the bundled model.

#[cfg(test)]
mod stage;
#[cfg(test)]
mod upstream;

#[cfg(test)]
mod admission;
#[cfg(test)]
mod answer_index;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod chat;
#[cfg(test)]
mod command_line;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod corpora;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod draining;
#[cfg(test)]
mod hostile_files;
#[cfg(test)]
mod load;
#[cfg(test)]
mod observing;
#[cfg(test)]
mod uploads;
#[cfg(test)]
mod watching;
