// Which part of an image is seen, and at which size: between pixels of the image and of the screen. Without a canvas.

import { TILE } from "./raster.js";

const LARGEST = 64;

/** A rectangle of an image on the screen. `scale` is pixels of the screen (CSS) a pixel of the image. */
export class View {
    x = 0;
    y = 0;
    scale = 1;
    width = 1;
    height = 1;
    imageWidth = 1;
    imageHeight = 1;

    /** The screen has another size. */
    resize(width, height) {
        this.width = Math.max(1, width);
        this.height = Math.max(1, height);
        this.limit();
    }

    /** Shows the whole of an image of this size. */
    fit(imageWidth = this.imageWidth, imageHeight = this.imageHeight) {
        this.imageWidth = imageWidth;
        this.imageHeight = imageHeight;
        this.scale = this.smallest() * 2;
        this.x = imageWidth / 2;
        this.y = imageHeight / 2;
    }

    /** From the screen to the image. */
    toImage(sx, sy) {
        return [this.x + (sx - this.width / 2) / this.scale, this.y + (sy - this.height / 2) / this.scale];
    }

    /** From the image to the screen. */
    toScreen(ix, iy) {
        return [(ix - this.x) * this.scale + this.width / 2, (iy - this.y) * this.scale + this.height / 2];
    }

    /** Zooms by a factor; what lies under (sx, sy) of the screen stays there. */
    zoom(factor, sx = this.width / 2, sy = this.height / 2) {
        const [ix, iy] = this.toImage(sx, sy);
        this.scale = Math.min(LARGEST, Math.max(Math.min(1, this.smallest()), this.scale * factor));
        this.x = ix - (sx - this.width / 2) / this.scale;
        this.y = iy - (sy - this.height / 2) / this.scale;
        this.limit();
    }

    /** Moves what is seen by pixels of the screen. */
    pan(dx, dy) {
        this.x -= dx / this.scale;
        this.y -= dy / this.scale;
        this.limit();
    }

    /** Shows this place, `size` pixels of the image across half of the screen. */
    goTo(x, y, size) {
        this.scale = Math.min(LARGEST, Math.max(this.smallest(), Math.min(this.width, this.height) / (2 * size)));
        this.x = x;
        this.y = y;
        this.limit();
    }

    /** The part of the image that is seen: {left, top, right, bottom}, clipped to the image. */
    visible() {
        const [left, top] = this.toImage(0, 0);
        const [right, bottom] = this.toImage(this.width, this.height);
        return {
            left: Math.max(0, left), top: Math.max(0, top),
            right: Math.min(this.imageWidth, right), bottom: Math.min(this.imageHeight, bottom),
        };
    }

    /** Half of the size at which the whole image is seen: no smaller makes sense. */
    smallest() {
        return Math.min(this.width / this.imageWidth, this.height / this.imageHeight) / 2;
    }

    /** Keeps the centre of the screen on the image. */
    limit() {
        this.x = Math.min(this.imageWidth, Math.max(0, this.x));
        this.y = Math.min(this.imageHeight, Math.max(0, this.y));
    }
}

/** How many levels an image has; on the last one it is a single tile. */
export function levelsOf(width, height) {
    return 1 + Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / TILE)));
}

/** The level whose pixels are nearest to those of the screen, and no coarser; `scale` in physical pixels a pixel. */
export function levelFor(scale, levels) {
    return Math.min(levels - 1, Math.max(0, Math.floor(Math.log2(1 / scale) + 0.2)));
}

/** The tiles of a level that lie in an area of the image, those in the middle first: [{ty, tx}, ...]. */
export function tilesIn(area, level, imageWidth, imageHeight) {
    const size = TILE * 2 ** level;
    const right = Math.min(Math.ceil(imageWidth / size), Math.ceil(area.right / size));
    const bottom = Math.min(Math.ceil(imageHeight / size), Math.ceil(area.bottom / size));
    const found = [];
    for (let ty = Math.max(0, Math.floor(area.top / size)); ty < bottom; ty++) {
        for (let tx = Math.max(0, Math.floor(area.left / size)); tx < right; tx++) found.push({ ty, tx });
    }
    const cx = (area.left + area.right) / 2 / size - 0.5, cy = (area.top + area.bottom) / 2 / size - 0.5;
    const distance = ({ ty, tx }) => (tx - cx) ** 2 + (ty - cy) ** 2;
    return found.sort((a, b) => distance(a) - distance(b));
}
