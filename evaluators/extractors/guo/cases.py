"""Runs the cases of the original code for the text-motion evaluator."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from baselines.cases import Case
from baselines.t2m.layers import CONTACTS, UNIT
from evaluators.cases import arrays, require
from evaluators.extractors.guo.network import load_official
from evaluators.extractors.guo.training import contrastive_loss
from nerm.words import WORD_CLASSES


def reproduce(case: Case) -> dict[str, NDArray]:
    """The text and motion encoders from an official file, the order of the original's batches, and its loss."""
    with case.checkpoint_file() as path:
        evaluator = load_official(path)
    require(
        case,
        dim_pose=evaluator.config.dim_pose,
        dim_word=evaluator.config.dim_word,
        dim_movement_enc_hidden=evaluator.config.movement_hidden,
        dim_movement_latent=evaluator.config.movement_latent,
        dim_text_hidden=evaluator.config.text_hidden,
        dim_motion_hidden=evaluator.config.motion_hidden,
        dim_coemb_hidden=evaluator.config.embedding,
        dim_pos_ohot=len(WORD_CLASSES),
        unit_length=UNIT,
    )
    x = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
    with torch.no_grad():
        text = evaluator.text(x["word_embs"], x["pos_onehot"], x["cap_lens"])
        motion = evaluator.motion(x["motions"], x["m_lens"])
        tokens = evaluator.movement_encoder(x["motions"][..., :-CONTACTS])
    # The original sorts by caption length, and then both sides by the reversed order of the motions' lengths.
    captions = np.argsort(-case.inputs["cap_lens"], kind="stable")
    align = np.argsort(case.inputs["m_lens"][captions])[::-1]
    order = captions[align]
    return arrays(
        {
            "text_embedding": text,
            "motion_embedding": motion,
            "movement_tokens": tokens,
            "caption_sort_order": captions,
            "wrapper_align_idx": align,
            "wrapper_text_embedding": text[order],
            "wrapper_motion_embedding": motion[order],
            "contrastive_loss_positive": contrastive_loss(text[order], motion[order], mismatched=False),
            "contrastive_loss_negative_shift1": contrastive_loss(text[order], motion[order].roll(-1, 0), mismatched=True),
        }
    )
