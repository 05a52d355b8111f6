"""The map as a widget."""

from textual import events
from textual.strip import Strip
from textual.widget import Widget

from agentd.view.fields import Facts
from agentd.view.mapimage import map_lines, slot_legend
from agentd.view.palette import Glyphs


class MapPanel(Widget):
    """Fills itself with the explored part of the map; the last line explains the letters."""

    def __init__(self, glyphs: Glyphs, *, id: str) -> None:
        super().__init__(id=id)
        self.border_title = "map"
        self._glyphs = glyphs
        self._map: Facts | None = None
        self._slots: Facts | None = None
        self._strips: list[Strip] = []

    def show(self, map_answer: Facts | None, slots_answer: Facts | None) -> None:
        """Draw new answers; a map that cannot be read is said in the title."""
        self._map, self._slots = map_answer, slots_answer
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        """Fit the picture into the new size."""
        self._draw()

    def render_line(self, y: int) -> Strip:
        """Return one line of the picture."""
        if y >= len(self._strips):
            return Strip.blank(self.size.width, self.rich_style)
        return self._strips[y].apply_style(self.rich_style)

    def _draw(self) -> None:
        width, height = self.size
        if width < 1 or height < 2:
            self._strips = []
            return
        try:
            lines = map_lines(
                self._map, self._slots, width=width, height=height - 1, glyphs=self._glyphs
            )
        except ValueError as error:
            self.border_title = f"map: {error}"
            return
        self.border_title = "map"
        legend = slot_legend(self._slots)
        legend.truncate(width, overflow="ellipsis", pad=True)
        lines.append([*legend.render(self.app.console)])
        self._strips = [Strip(line, width) for line in lines]
        self.refresh()
