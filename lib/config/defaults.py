"""Every configuration key with its default, its meaning and its unit.

``DEFAULTS`` is never handed out: ``load_config`` copies it. The type of a default is the type that a value of that
key must have (a list: the type of its elements); further rules (ranges, choices, lengths) are in
``mstgt.config.validation``.
``UNUSED_KEYS`` belong to the published configuration files and have no effect here: they are accepted and dropped.
"""

from __future__ import annotations

from typing import Any

DEFAULTS: dict[str, Any] = {
    "DA": {  # augmentation of training samples
        "border_prob": 0.0,  # probability of a crop that puts the target across the crop's edge
        "sfactor": [4.0, 4.0],  # lowest and highest random search factor (crop side / sqrt(w*h) of the target)
        "negative_prob": 0.0,  # probability of a sample with search regions from which the target is absent
        "imix": False,  # feature mixing: write a partner's target tokens into the search map as a distractor
        "imix_occrate": 0.5,  # mixing skips a frame where it would cover more than this share of the own target
        "imix_epoch": 40,  # mixing is active only after this epoch
        "imix_interval": 1,  # ... and then in every imix_interval-th epoch
        "norm_type": "channel",  # match the partner's feature statistics: global, channel or none
    },
    "MODEL": {
        # a file in the pretrained folder: a HiViT, or a tracker's weights to train further; "" or null: from scratch
        "PRETRAIN_FILE": "mae_hivit_base_1600ep.pth",
        "INIT": "published",  # of linear layers: published (pre-trained weights follow) or xavier (from scratch)
        "TEMPLATE_MASK": 0.0,  # how much of magenta lies over what surrounds the target in the template; 0: unmarked
        "BACKBONE": {
            "TYPE": "hivit_base",  # lite_nano, lite_mini, hivit_nano, hivit_mini, hivit_tiny, hivit_small or hivit_base
            "STRIDE": 16,  # pixels per token of the main stage (16 is the only one)
        },
        "HEAD": {
            "TYPE": "CENTER",  # the only head
            "NUM_CHANNELS": 256,  # channels of the head's first convolution; halved three times
            "PRIOR_PROB": 0.0,  # initial centre score of every cell; 0: the published initialisation
        },
        "GUIDANCE": {
            "ATTENTION": "grouped",  # of the guidance block: grouped (as published), global, or none (S stays S0)
        },
    },
    "TRAIN": {
        "LR": 1e-4,  # learning rate of everything but the backbone
        "BACKBONE_MULTIPLIER": 0.1,  # the backbone's learning rate is LR times this
        "STEM_MULTIPLIER": 1.0,  # a convolutional stem's rate is the backbone's times this; 0: it stays as it is
        "WEIGHT_DECAY": 1e-4,  # AdamW's decoupled weight decay
        "OPTIMIZER": "ADAMW",  # the only optimizer
        "EPOCH": 500,  # number of epochs
        "LR_DROP_EPOCH": 400,  # step schedule: multiply the rates by DECAY_RATE after this epoch
        "WARMUP_STEPS": 0,  # optimizer steps over which the rates rise linearly from zero; 0: none
        "SCHEDULER": {
            "TYPE": "step",  # step or cosine
            "DECAY_RATE": 0.1,  # factor of the step schedule
        },
        "BATCH_SIZE": 16,  # samples per process (per GPU) and step
        "NUM_WORKER": 8,  # loader processes per training process; 0: load in the training process
        "DROP_PATH_RATE": 0.1,  # stochastic depth of the backbone's last block, rising linearly from 0
        "GIOU_WEIGHT": 2.0,  # weight of the generalised IoU loss
        "L1_WEIGHT": 5.0,  # weight of the L1 loss on normalised cx, cy, w, h
        "FOCAL_WEIGHT": 1.0,  # weight of the Gaussian focal loss on the centre score
        "GRAD_CLIP_NORM": 0.1,  # highest gradient norm; 0: no clipping
        "PRECISION": "auto",  # of the network: fp32, bf16, fp16, or auto: bf16 on GPUs and CPUs that have it, else fp32
        "TF32": True,  # fp32 matrix products in TF32 on GPUs that have it
        "ACCUMULATE": 1,  # batches per optimizer step: the gradient is the mean over them
        "EMA_DECAY": 0.0,  # per step, of the moving average of the weights that is validated and tested; 0: none
        "COMPILE": False,  # compile the network (torch.compile): slow to start, faster steps
        "CHECKPOINT_ACTIVATIONS": False,  # compute the main stage twice and keep less memory
        "KEEP_CHECKPOINTS": 3,  # epochs whose checkpoints stay, beside the best and TEST.EPOCH's; 0: all
        "SEED": 0,  # of the initialisation, the sampler and the augmentation
        "PRINT_INTERVAL": 50,  # steps between two lines of the log
        "VAL_EPOCH_INTERVAL": 20,  # epochs between two validations
    },
    "DATA": {
        "SAMPLER_MODE": "causal",  # search frames follow the template in time (the only mode)
        "MEAN": [0.485, 0.456, 0.406],  # of R, G, B in [0, 1], subtracted from the crops
        "STD": [0.229, 0.224, 0.225],  # of R, G, B in [0, 1], divides the crops
        "MAX_SAMPLE_INTERVAL": 200,  # frames after the template from which the search frames are drawn
        "CURRICULUM": 0.0,  # share of the training over which the synthetic world grows to full difficulty; 0: off
        "TRAIN": {
            "DATASETS_NAME": ["LASOT", "GOT10K_vottrain"],  # training sets
            "DATASETS_RATIO": [1.0, 1.0],  # how often each is drawn, relative to the others
            "SAMPLE_PER_EPOCH": 60000,  # samples per epoch, over all processes
        },
        "VAL": {
            "DATASETS_NAME": ["GOT10K_votval"],  # validation sets
            "DATASETS_RATIO": [1.0],  # how often each is drawn, relative to the others
            "SAMPLE_PER_EPOCH": 10000,  # samples per validation, over all processes
        },
        "SEARCH": {
            "SIZE": 320,  # side of the search crop in pixels
            "FACTOR": 5.0,  # side of the cropped region / sqrt(w*h) of the target
            "CENTER_JITTER": 4.5,  # greatest shift of the crop's centre, in halves of sqrt(w*h)
            "SCALE_JITTER": 0.5,  # the crop's sides are multiplied by exp(this * N(0, 1))
            "NUMBER": 1,  # search frames per sample
        },
        "TEMPLATE": {
            "SIZE": 128,  # side of the template crop in pixels
            "FACTOR": 2.0,  # side of the cropped region / sqrt(w*h) of the target
            "CENTER_JITTER": 0.0,  # as in SEARCH
            "SCALE_JITTER": 0.0,  # as in SEARCH
            "NUMBER": 1,  # template frames per sample (1 is the only number)
        },
    },
    "TEST": {
        "TEMPLATE_FACTOR": 2.0,  # side of the template region / sqrt(w*h) of the target
        "TEMPLATE_SIZE": 128,  # side of the template crop in pixels
        "SEARCH_FACTOR": 5.0,  # side of the search region / sqrt(w*h) of the last box
        "SEARCH_SIZE": 320,  # side of the search crop in pixels
        "WIDEN_BELOW": 0.0,  # the search region widens while the mean of the last scores is below this; 0: never
        "WIDEN_BY": 1.5,  # ... to this many times SEARCH_FACTOR
        "EPOCH": 500,  # the epoch whose checkpoint is tested
    },
}

# Old name -> current name. YAML files and checkpoints written with the old name keep loading.
RENAMED_KEYS: dict[str, str] = {"MODEL.TEMPLATE_MARK": "MODEL.TEMPLATE_MASK"}

UNUSED_KEYS: frozenset[str] = frozenset({
    "CUTMIX.prob", "CUTMIX.occrate",
    "DA.imix_reverse_prob", "DA.mix_type", "DA.update_bbox",
    "DATA.DATA_FRACTION",
    "DATA.DYNAMIC.NUMBER", "DATA.DYNAMIC.SIZE", "DATA.DYNAMIC.FACTOR", "DATA.DYNAMIC.CENTER_JITTER",
    "DATA.DYNAMIC.SCALE_JITTER",
    "MODEL.EXTRA_MERGER", "MODEL.RETURN_INTER", "MODEL.RETURN_STAGES",
    "MODEL.BACKBONE.MID_PE", "MODEL.BACKBONE.SEP_SEG", "MODEL.BACKBONE.CAT_MODE", "MODEL.BACKBONE.MERGE_LAYER",
    "MODEL.BACKBONE.ADD_CLS_TOKEN", "MODEL.BACKBONE.CLS_TOKEN_USE_MODE", "MODEL.BACKBONE.CE_LOC",
    "MODEL.BACKBONE.CE_KEEP_RATIO", "MODEL.BACKBONE.CE_TEMPLATE_RANGE",
    "TEST.DYNAMIC_FACTOR", "TEST.DYNAMIC_SIZE",
    "TRAIN.AMP", "TRAIN.FREEZE_LAYERS", "TRAIN.CE_START_EPOCH", "TRAIN.CE_WARM_EPOCH",
})
