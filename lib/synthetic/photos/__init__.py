"""The world of photographs: training samples composed of real images, rendered ahead or when they are read.

    python tracking/make_photos.py --out data/photos --train 25000 /data/tiny-imagenet-200 /data/coco /data/DAVIS
    python tracking/train.py --config MSTGT-nano --photos /data/my_photos

A sample has a few frames that show one target. In most of them it is a cut-out, pasted among others on a photograph;
in the rest it stays in its own photograph or video (``compose``). The material is any folder in one of the layouts of
``material``: photographs with boxes, polygons or masks, cut-outs, videos with masks, plain photographs.

    images             read images, divide them into train and val
    cutout             an object's pixels with alpha, hard or soft edges
    source             the interface of object sources
    photographs        photographs with objects; annotations (COCO, VOC, YOLO, masks) reads them
    tiny_imagenet, cutout_files, mask_videos    other sources
    material           layouts of folders, choice of sources and backgrounds
    motion, paste      cameras, paths and views; geometry and blending of a cut-out
    degrade            light, blur, noise, JPEG, gray, thermal
    compose, sample    draw a sample; render and annotate it
    writer, dataset    files in GOT-10k's layout; a VideoSet without files

A sample is a function of its seed and the material. Every 20th photograph, object or video is validation material.
"""
