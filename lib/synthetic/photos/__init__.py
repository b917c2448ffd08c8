"""The world of photographs: training samples composed of real images, rendered ahead or when they are read.

    python tracking/make_photos.py --out data/photos --train 25000 /data/tiny-imagenet-200 /data/coco /data/DAVIS
    python tracking/train.py --config MSTGT-nano-128 --set DATA.TRAIN.DATASETS_NAME=[PHOTOS:/data/my_photos] ...

A sample has a few frames that show one target. In most of them it is a cut-out, pasted among others on a photograph;
in the rest it stays in its own photograph or video (``compose``). The material is any folder in one of the layouts of
``material``: photographs with boxes, polygons or masks, cut-outs, videos with masks, plain photographs.

    images        read images, divide into train and val      material     layouts, sources and backgrounds
    cutout        pixels with alpha, hard or soft edges       motion       cameras, paths, views
    source        the interface of object sources             paste        geometry and blending of a cut-out
    photographs   photographs with objects                    degrade      light, blur, noise, JPEG, grey, thermal
    annotations   COCO, VOC, masks                            sample       render and annotate
    tiny_imagenet, cutouts, mask_videos                       compose      draw a sample
    writer        GOT-10k's layout                            dataset      VideoSet without files

A sample is a function of its seed and the material. Every 20th photograph, object or video is validation material.
"""
