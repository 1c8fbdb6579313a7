// Boxes, labels and masks of one answer on a canvas.

const layer = document.createElement("canvas");

// COCO's compressed run lengths, see detect_tl/core/rle.py: numbers in base 32, six bits each; from
// the third on, a number is stored as the difference to the one two places before.
export function runLengths(text) {
  const counts = [];
  let value = 0;
  let shift = 0;
  for (let k = 0; k < text.length; k++) {
    const bits = text.charCodeAt(k) - 48;
    value |= (bits & 0x1f) << shift;
    shift += 5;
    if (bits & 0x20) continue;
    if (bits & 0x10) value |= -1 << shift;
    counts.push(value + (counts.length > 2 ? counts[counts.length - 2] : 0));
    value = shift = 0;
  }
  return counts;
}

function channels(colour) {
  return [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
}

// The masks as a picture of their own size; runs go down the columns, from left to right.
function maskLayer(detections, colourOf) {
  const [height, width] = detections[0].mask.size;
  layer.width = width;
  layer.height = height;
  const brush = layer.getContext("2d");
  const image = brush.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (const found of detections) {
    const [red, green, blue] = channels(colourOf(found));
    const ink = ((115 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    let place = 0;
    runLengths(found.mask.counts).forEach((length, number) => {
      const end = place + length;
      if (number % 2) {
        for (; place < end; place++) {
          pixels[(place % height) * width + Math.floor(place / height)] = ink;
        }
      }
      place = end;
    });
  }
  brush.putImageData(image, 0, 0);
  return layer;
}

function label(brush, text, colour, x, y, letters) {
  brush.font = `600 ${letters}px system-ui, sans-serif`;
  const pad = letters * 0.35;
  const width = Math.min(brush.measureText(text).width + 2 * pad, brush.canvas.width);
  const height = letters * 1.4;
  const left = Math.max(0, Math.min(x, brush.canvas.width - width));
  const top = y >= height ? y - height : Math.min(y, brush.canvas.height - height);
  brush.fillStyle = colour;
  brush.fillRect(left, top, width, height);
  const [red, green, blue] = channels(colour);
  brush.fillStyle = 0.299 * red + 0.587 * green + 0.114 * blue > 150 ? "#000" : "#fff";
  brush.textBaseline = "middle";
  brush.fillText(text, left + pad, top + height / 2, width - pad);
}

// Draw an answer over what is on the canvas. `shown` is the width of the canvas in CSS pixels:
// lines and letters are as large on a small screen as on a large one.
export function drawAnswer(canvas, answer, colourOf, shown) {
  const brush = canvas.getContext("2d");
  const worstFirst = [...answer.detections].reverse();
  const [sx, sy] = [canvas.width / answer.width, canvas.height / answer.height];
  const unit = canvas.width / Math.max(shown, 1);
  const masked = worstFirst.filter((found) => found.mask);
  if (masked.length) {
    brush.imageSmoothingEnabled = true;
    brush.drawImage(maskLayer(masked, colourOf), 0, 0, canvas.width, canvas.height);
  }
  brush.lineWidth = 2.5 * unit;
  brush.lineJoin = "round";
  for (const found of worstFirst) {
    const [x1, y1, x2, y2] = found.xyxy;
    brush.strokeStyle = colourOf(found);
    brush.strokeRect(x1 * sx, y1 * sy, (x2 - x1) * sx, (y2 - y1) * sy);
  }
  for (const found of worstFirst) {
    const text = `${found.class} ${Math.round(found.score * 100)} %`;
    const [x, y] = [found.xyxy[0] * sx - unit, found.xyxy[1] * sy];
    label(brush, text, colourOf(found), x, y, (shown < 560 ? 10 : 13) * unit);
  }
}
