//! The checks of `msd_gpu::selftest` as tests.

/// The tests that every engine has to pass, for the engine that `$open` opens, with `$cases` random networks
/// of images and `$volumes` of volumes.
macro_rules! engine_tests {
    ($open:expr, $cases:expr, $volumes:expr) => {
        #[test]
        fn random_networks_agree() {
            msd_gpu::selftest::random_networks_agree(&$open, 0..$cases).unwrap();
        }

        #[test]
        fn random_volumes_agree() {
            msd_gpu::selftest::random_volumes_agree(&$open, 0..$volumes).unwrap();
        }

        #[test]
        fn larger_volumes_agree() {
            msd_gpu::selftest::larger_volumes_agree(&$open).unwrap();
        }

        #[test]
        fn training_on_volumes_follows_float64() {
            msd_gpu::selftest::training_on_volumes_follows_float64(&$open).unwrap();
        }

        #[test]
        fn losses_agree() {
            msd_gpu::selftest::losses_agree(&$open).unwrap();
        }

        #[test]
        fn judging_agrees() {
            msd_gpu::selftest::judging_agrees(&$open).unwrap();
        }

        #[test]
        fn classes_agree() {
            msd_gpu::selftest::classes_agree(&$open).unwrap();
        }

        #[test]
        fn larger_images_agree() {
            msd_gpu::selftest::larger_images_agree(&$open).unwrap();
        }

        #[test]
        fn training_follows_float64() {
            msd_gpu::selftest::training_follows_float64(&$open, true).unwrap();
            msd_gpu::selftest::training_follows_float64(&$open, false).unwrap();
        }

        #[test]
        fn adam_agrees() {
            msd_gpu::selftest::adam_agrees(&$open).unwrap();
        }

        #[test]
        fn changing_sizes_add_up() {
            msd_gpu::selftest::changing_sizes_add_up(&$open).unwrap();
        }

        #[test]
        fn gradients_are_taken_and_put_back() {
            msd_gpu::selftest::gradients_are_taken_and_put_back(&$open).unwrap();
        }

        #[test]
        fn sizes_take_turns() {
            msd_gpu::selftest::sizes_take_turns(&$open).unwrap();
        }

        #[test]
        fn memory_is_known() {
            msd_gpu::selftest::memory_is_known(&$open).unwrap();
        }

        #[test]
        fn wrong_batches_are_refused() {
            msd_gpu::selftest::wrong_batches_are_refused(&$open).unwrap();
        }
    };
}
