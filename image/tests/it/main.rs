//! Whole steps of the image build, on synthetic inputs and, where they are there, on real ones.

mod appliance;
mod rootfs;
