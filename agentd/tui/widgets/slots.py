"""The remembered objects as a table."""

from rich.text import Text
from textual.widgets import DataTable

from agentd.view import palette
from agentd.view.fields import Facts, as_point, format_count, number, pick, rows, text
from agentd.view.mapimage import letters_of
from agentd.view.palette import style

_MAX_ROWS = 300
_COLUMNS = ("label ", "state ", "seen ", "x, y m")
_STATE_ORDER = {state: i for i, state in enumerate(palette.STATE_COLOURS)}


class SlotsTable(DataTable[Text]):
    """Label, state, how long ago it was seen, where; surest and latest first."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id, cursor_type="row", zebra_stripes=False, cell_padding=0)
        self.border_title = "slots"
        self._labels: dict[str, str] = {}
        self._shown: list[list[str]] = []

    def on_mount(self) -> None:
        """Make the columns."""
        self.add_columns(*_COLUMNS)

    def label_at_cursor(self) -> str:
        """Return the label under the cursor; empty when the table is."""
        if self.row_count == 0:
            return ""
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return self._labels.get(key or "", "")

    def known_labels(self) -> list[str]:
        """Return every label in the table, in alphabetical order."""
        return sorted(set(self._labels.values()))

    def show(self, slots: Facts | None, step: float | None) -> None:
        """Replace the rows if they changed; the cursor stays on its slot.

        Args:
            slots: A `slots` answer.
            step: Steps of the life so far, to tell how long ago a slot was seen.
        """
        known = sorted(rows(slots, "slots"), key=_order)
        letters = letters_of(known)
        is_cut = len(known) > _MAX_ROWS
        self.border_title = "slots" + (f", {_MAX_ROWS} of {len(known)}" if is_cut else "")
        shown = [_cells(slot, letters, step) for slot in known[:_MAX_ROWS]]
        if shown == self._shown:
            return
        self._shown = shown
        selected = None
        if self.row_count:
            selected = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        scroll_y = self.scroll_y
        self.clear()
        self._labels = {}
        for slot, cells in zip(known[:_MAX_ROWS], shown, strict=True):
            key = str(pick(slot, "slot_id"))
            if key in self._labels:
                continue
            colour = style(palette.STATE_COLOURS.get(text(slot, "state"), palette.GREY))
            texts = [Text(f"{cell} ") for cell in cells]
            texts[1].stylize(colour)
            self.add_row(*texts, key=key)
            self._labels[key] = text(slot, "label", "object")
        if selected in self._labels:
            self.move_cursor(row=self.get_row_index(selected), scroll=False)
            self.scroll_to(y=scroll_y, animate=False)


def _order(slot: Facts) -> tuple[int, float]:
    """Sort by certainty, then by how recently it was seen."""
    state = _STATE_ORDER.get(text(slot, "state"), len(_STATE_ORDER))
    return state, -(number(slot, "last_seen_step") or 0)


def _cells(slot: Facts, letters: dict[str, str], step: float | None) -> list[str]:
    label = text(slot, "label", "object")
    seen = number(slot, "last_seen_step")
    ago = None if seen is None or step is None else max(0.0, step - seen)
    place = as_point(pick(slot, "xyz_m"))
    state = text(slot, "state")
    letter = letters[label]
    return [
        f"{letter if state == 'confirmed' else letter.lower()} {label}",
        palette.STATE_WORDS.get(state, state),
        _ago(ago),
        "-" if place is None else f"{place[0]:.1f}, {place[1]:.1f}",
    ]


def _ago(steps: float | None) -> str:
    """Return a rough number of steps, so that the table does not change at every look."""
    if steps is None:
        return "-"
    if steps < 10:
        return "now"
    if steps < 100:
        return f"-{steps // 10 * 10:.0f}"
    return f"-{format_count(steps // 100 * 100)}"
