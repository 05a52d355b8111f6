"""Published detectors that find what they are asked for in words, through `transformers`, frozen.

OWLv2, OWL-ViT, Grounding DINO and others behind `AutoModelForZeroShotObjectDetection`. Weights come
from a folder of this machine, as safetensors only. `transformers` is the optional dependency group
`pretrained`.

References:
    Minderer et al. 2023 (NeurIPS), "Scaling open-vocabulary object detection" (OWLv2).
    Liu et al. 2024 (ECCV), "Grounding DINO: marrying DINO with grounded pre-training".

Axis letters: h w image, n texts, d numbers of a vector.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from safetensors import SafetensorError

from memory.records import NamedBox


class ZeroShotBoxes:
    """A network and the words it is asked for.

    Args:
        network: Of the class that `AutoModelForZeroShotObjectDetection` makes.
        processor: Its processor.
        labels: What to look for.
        threshold: Boxes with a lower score are left out.
    """

    def __init__(
        self, network: torch.nn.Module, processor: Any, labels: Sequence[str], threshold: float
    ) -> None:
        self._network = network.eval()
        self._processor = processor
        self._labels = [label.strip() for label in labels if label.strip()]
        self._threshold = threshold

    @classmethod
    def load(cls, folder: str, labels: Sequence[str], threshold: float) -> Self:
        """Return a detector from a folder of weights.

        Raises:
            ValueError: If `transformers` is missing, or the folder does not hold a zero-shot
                detector as safetensors; tells what to do.
        """
        try:
            from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor
            from transformers.utils import logging
        except ImportError as error:
            raise ValueError(
                "an open-vocabulary detector needs the library transformers: "
                "pip install 'agentd[pretrained]'"
            ) from error
        if not Path(folder).is_dir():
            raise ValueError(
                f"there is no folder {folder!r}; get a detector with: "
                f"hf download google/owlv2-base-patch16-ensemble --local-dir {folder}"
            )
        logging.disable_progress_bar()
        try:
            network = AutoModelForZeroShotObjectDetection.from_pretrained(
                folder, local_files_only=True, use_safetensors=True, trust_remote_code=False
            )
            processor = AutoProcessor.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
        except (OSError, SafetensorError, ValueError, KeyError) as error:
            raise ValueError(
                f"the folder {folder!r} holds no zero-shot detector that can be read: "
                "config.json, model.safetensors (pickled weights are not read) and the "
                "processor's files are needed"
            ) from error
        return cls(network, processor, labels, threshold)

    @property
    def has_text_vectors(self) -> bool:
        """Whether it can compare texts: the OWL family can, networks that fuse early cannot."""
        return self._text_model() is not None

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """Return one unit vector per text, of the space in which the network compares.

        Raises:
            ValueError: If the network has no such space; see `has_text_vectors`.
        """
        model = self._text_model()
        if model is None:
            raise ValueError(f"{type(self._network).__name__} has no vectors of texts")
        tokens = self._processor.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=16, return_tensors="pt"
        )
        outputs = model.text_model(**tokens)
        vectors = model.text_projection(outputs.pooler_output)
        return torch.nn.functional.normalize(vectors, dim=-1).numpy()

    def _text_model(self) -> Any:
        inner = getattr(self._network, "owlv2", None) or getattr(self._network, "owlvit", None)
        return inner if hasattr(inner, "text_projection") else None

    @torch.inference_mode()
    def find(self, rgb: UInt8[np.ndarray, "h w 3"]) -> list[NamedBox]:
        """Return the boxes of what it was asked for, in any order."""
        inputs = self._processor(
            images=[rgb],
            text=[self._labels],
            return_tensors="pt",
            input_data_format="channels_last",
        )
        outputs = self._network(**inputs)
        (found,) = self._processor.post_process_grounded_object_detection(
            outputs,
            threshold=self._threshold,
            target_sizes=[rgb.shape[:2]],
            text_labels=[self._labels],
        )
        boxes, scores = found["boxes"].tolist(), found["scores"].tolist()
        names = found.get("text_labels") or found["labels"]
        return [
            NamedBox(label=label, score=float(score), box_px=tuple(box))
            for name, score, box in zip(names, scores, boxes, strict=True)
            if (label := self._asked(str(name)))
        ]

    def _asked(self, name: str) -> str:
        """Return the label that a name stands for, "" if none: some networks answer with a part."""
        if name in self._labels:
            return name
        parts = [label for label in self._labels if name and (name in label or label in name)]
        return parts[0] if parts else ""
