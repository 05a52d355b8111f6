"""Every cell of the guardian's fault matrix is green."""

import pytest
from fault_matrix import CHANNELS, FAULTS, loaded_cell, run_cell


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("fault", FAULTS)
def test_the_cell_is_green(fault, channel):
    cell = run_cell(fault, channel)
    assert cell.is_green, cell
    assert cell.verdict == "pass" or cell.why


def test_s19_learners_at_full_load_do_not_silence_the_guardian(tmp_path):
    cell = loaded_cell(tmp_path, seconds=4.0)
    assert cell.is_green, cell
