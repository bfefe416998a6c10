mod bugs;
mod histories;
mod rounds;
mod world;
