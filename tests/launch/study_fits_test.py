"""Statistics of studies: fits, intervals, outliers and percentiles against known data.

    study_fits_test.py ROOT WORK_FOLDER
"""
import math
import unittest

from report_support import run_tests

from study import fits, measure


class Fits(unittest.TestCase):
    def test_amdahl_of_known_data(self):
        found = fits.amdahl([1, 2, 4, 8], [0.2 + 0.8 / n for n in (1, 2, 4, 8)])
        self.assertAlmostEqual(found["serial_fraction"], 0.2, places=9)
        self.assertLess(found["largest_residual"], 1e-9)
        self.assertAlmostEqual(fits.amdahl([2, 4, 8], [1 + 3 / 1, 1 + 3 / 2, 1 + 3 / 4])["serial_fraction"], 0.25, places=9)

    def test_gustafson_of_known_data(self):
        self.assertAlmostEqual(fits.gustafson([1, 2, 4], [1, 0.1 + 0.9 * 2, 0.1 + 0.9 * 4])["serial_fraction"], 0.1, places=9)
        self.assertEqual(fits.gustafson([1, 2], [1, 2.5])["serial_fraction"], 0)

    def test_alpha_beta_of_known_data(self):
        ranks = [1, 2, 4, 8, 16]
        for scaling in ("strong", "weak"):
            times = [(3.0 / p if scaling == "strong" else 3.0) + 2 * (p - 1) * 1e-3 + 2 * (p - 1) / p * 0.05 for p in ranks]
            found = fits.alpha_beta(scaling, ranks, times, 1e9)
            for name, value in (("compute_s", 3.0), ("alpha_s", 1e-3), ("message_s", 0.05), ("beta_bytes_per_s", 2e10)):
                self.assertAlmostEqual(found[name] / value, 1, places=6, msg=name)
            self.assertAlmostEqual(fits.seconds_at(found, scaling, 8, 1, 1), times[3], places=8)
        self.assertIsNone(fits.alpha_beta("weak", [1, 2], [1, 1], 1))

    def test_intervals(self):
        low, high = fits.interval([1.0, 2.0, 3.0])  # t(0.975, 2) = 4.302653
        self.assertAlmostEqual(high, 2 + 4.302653 / math.sqrt(3), places=5)
        self.assertAlmostEqual(low, 4 - high, places=12)
        self.assertEqual(fits.interval([1.0]), (None, None))
        low, high = fits.ratio_interval([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])  # of which one does not vary: the other's interval / 2
        self.assertAlmostEqual(high, fits.interval([1.0, 2.0, 3.0])[1] / 2, places=12)

    def test_outliers(self):
        for values, flagged in (([1, 1.01, 3], 2), ([1, 1.001, 1.2], None), ([1, 1.3], 1), ([1, 1.2], None), ([5], None), ([1, 1, 1, 0.5], 3)):
            self.assertEqual(fits.outliers(values), [i == flagged for i in range(len(values))], values)

    def test_percentiles_are_numpys(self):
        import numpy
        values = [3.0, 1.0, 2.0, 7.0]
        for share in (0.05, 0.5, 0.95):
            self.assertAlmostEqual(measure.percentile(values, share), float(numpy.percentile(values, 100 * share)))


if __name__ == "__main__":
    run_tests()
