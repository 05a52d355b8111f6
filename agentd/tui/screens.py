"""What opens above the main screen: a question for a goal, a confirmation, the help."""

from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Label, OptionList, Static

from agentd.view import palette, panels
from agentd.view.palette import Glyphs, style

_MORE_KEYS = (
    ("Tab", "Next panel."),
    ("Enter", "In the slots: go to such an object."),
    ("Ctrl+P", "All of this by name, and other colours."),
)


class GoalScreen(ModalScreen[str | None]):
    """Asks for a goal; returns what was typed or chosen, None when left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave", tooltip="Close without adding a goal.", id="leave"),
    ]

    def __init__(self, known_labels: Sequence[str], first: str = "") -> None:
        """Prepare.

        Args:
            known_labels: Labels that the memory knows, offered while typing and as a list.
            first: Text in the input at the beginning.
        """
        super().__init__()
        self._known_labels = list(known_labels)
        self._first = first

    def compose(self) -> Iterator[Widget]:
        """Lay the question out."""
        with Vertical(id="dialog"):
            yield Label("Go where? A label, or x, y in metres of the map.")
            yield Input(
                value=self._first,
                placeholder="chair",
                suggester=SuggestFromList(self._known_labels, case_sensitive=False),
                id="goal-input",
            )
            yield Label("In memory (Tab, then Enter):", classes="hint")
            yield OptionList(*(Text(label) for label in self._known_labels), id="goal-labels")
            yield Label("Enter adds, Esc leaves", classes="hint")

    def on_mount(self) -> None:
        """Begin in the input."""
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take what was typed."""
        self.dismiss(event.value.strip() or None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Take the chosen label."""
        self.dismiss(self._known_labels[event.option_index])

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)


class ConfirmScreen(ModalScreen[bool]):
    """Asks before something that is not easily undone."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes", tooltip="Do it.", id="yes"),
        Binding("n,escape", "answer(False)", "No", tooltip="Leave it as it is.", id="no"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> Iterator[Widget]:
        """Lay the question out."""
        with Vertical(id="dialog"):
            yield Label(self._question, id="question")
            yield Label("y: yes    n or Esc: no", classes="hint")

    def action_answer(self, is_yes: bool) -> None:
        """Return the answer."""
        self.dismiss(is_yes)


class HelpScreen(ModalScreen[None]):
    """Every key with what it does, and what the marks of the map mean."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q", "leave", "Close", tooltip="Close the help.", id="leave"),
    ]

    def __init__(self, bindings: Iterable[Binding], glyphs: Glyphs) -> None:
        super().__init__()
        self._keys = list(bindings)
        self._glyphs = glyphs

    def compose(self) -> Iterator[Widget]:
        """Lay the help out."""
        with VerticalScroll(id="dialog"):
            yield Static(self._text())

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)

    def _text(self) -> Text:
        lines = [Text("Keys", palette.STRONG)]
        keys = [(b.key_display or b.key, b.tooltip) for b in self._keys]
        for key, words in (*keys, *_MORE_KEYS):
            lines.append(Text().append(f"  {key:<8}", style(palette.SKY_BLUE)).append(words))
        lines += [
            Text(),
            Text("Map", palette.STRONG),
            Text("  ").append_text(panels.map_legend(self._glyphs)),
            Text("  dashes: the planned way; blue line: where it drove"),
            Text("  small letter: seen too rarely yet, or doubted"),
            Text(),
            Text("Curves", palette.STRONG),
            Text("  error k steps ahead; 1 (dotted): as good as the mean"),
            Text(f"  {self._glyphs.accepted} round accepted, {self._glyphs.refused} refused"),
            Text(),
            Text("Esc closes the help."),
        ]
        return Text("\n").join(lines)
