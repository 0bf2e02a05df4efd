"""The extractors of Guo et al. for actions: recurrent classifiers on joint positions, for four data sets. Imports nothing heavy.

ACTOR, MDM and MLD evaluate HumanAct12 with the first of them, under the name `humanact12_gru.tar`.
"""

from evaluators.extractors import ExtractorEntry, Official

VERSION = 1
LICENCE = "MIT (EricGuo5513/action-to-motion); trained on HumanAct12, NTU RGB+D (research only) and CMU recordings, whose own terms apply"


def _entry(name: str, title: str, file: str, sha256: str, *names: str, **more) -> ExtractorEntry:
    return ExtractorEntry(
        name=name,
        title=title,
        embeds=("actions",),
        version=VERSION,
        loads=f"evaluators.extractors.action_gru.extractor:load_{name}",
        licence=LICENCE,
        official=Official((file, *names), "EricGuo5513/action-to-motion, folder model_file", "action_classifiers", sha256),
        **more,
    )


ENTRIES = (
    _entry(
        "humanact12_gru",
        "actions of HumanAct12 (12 classes) from 24 joint positions, as ACTOR, MDM and MLD use it; file not included",
        "action_recognition_model_humanact12.tar",
        "e2d231fd8a425bc642d4c342466d5eaae2ae16e8a67e8dd253820ef5512d7bca",
        "humanact12_gru.tar",
        reproduces={"humanact12_gru": "evaluators.extractors.action_gru.cases:reproduce"},
    ),
    _entry(
        "humanact34_gru",
        "actions of HumanAct12 (34 fine classes) from 24 joint positions; file not included",
        "action_recognition_model_humanact12_fineG.tar",
        "8904f944c799f915c111ebd5645e7b077ee1cd90187701ddb063f05e92446d13",
    ),
    _entry(
        "ntu13_gru",
        "actions of NTU RGB+D (13 classes) from 18 joint positions; file not included",
        "action_recognition_model_vibe_v2.tar",
        "e3ad9354759120137c72f1f6ba5aaf84b445472a9b984024bf9c92811585ff5b",
    ),
    _entry(
        "cmu8_gru",
        "actions of CMU (8 classes) from 20 joint positions; file not included",
        "action_recognition_model_mocap_new.tar",
        "7ef619637e61934a57254642021d065adf8afd59f56be7c39f205eea064aa154",
    ),
)
