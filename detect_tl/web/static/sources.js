// Where pictures come from: a file or the camera. What goes wrong is told in an Error for people.

const PICTURE_KINDS = ["image/jpeg", "image/png", "image/webp"];
const MOST_SHOWN = 1920; // pixels along the longer side
const MOST_SENT = 4e6; // pixels of a still that is sent as it is

export function fit(width, height, most) {
  const scale = Math.min(1, most / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

function toJpeg(canvas, quality) {
  return new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
}

function redrawn(source, width, height, canvas = document.createElement("canvas")) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  canvas.getContext("2d").drawImage(source, 0, 0, width, height);
  return canvas;
}

// A still: {shot, picture}, the canvas to show and what to send.
export async function still(file, maxBytes) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Error("This picture cannot be shown by this browser. JPEG, PNG and WebP can.");
  }
  const { width, height } = bitmap;
  const asItIs =
    PICTURE_KINDS.includes(file.type) && file.size <= maxBytes && width * height <= MOST_SENT;
  const shot = redrawn(bitmap, ...fit(width, height, MOST_SHOWN));
  bitmap.close();
  return { shot, picture: asItIs ? file : await toJpeg(shot, 0.92) };
}

// Grabs frames of a video: to show, and as small as the model sees them to be sent.
export class Grabber {
  constructor(video, side) {
    this.video = video;
    this.side = side;
    this.shot = document.createElement("canvas");
    this.small = document.createElement("canvas");
  }

  // Wait for a frame that has not been there before.
  next() {
    return new Promise((done) => {
      if (this.video.requestVideoFrameCallback) this.video.requestVideoFrameCallback(() => done());
      else requestAnimationFrame(() => done());
    });
  }

  async grab() {
    const { videoWidth, videoHeight } = this.video;
    const taken = performance.now();
    redrawn(this.video, ...fit(videoWidth, videoHeight, MOST_SHOWN), this.shot);
    redrawn(this.video, ...fit(videoWidth, videoHeight, this.side), this.small);
    return { shot: this.shot, picture: await toJpeg(this.small, 0.9), taken };
  }
}

export function isVideo(file) {
  return file.type.startsWith("video/") || /\.(mp4|m4v|mov|webm|mkv|avi|mpe?g|wmv)$/i.test(file.name);
}

export function isPicture(file) {
  return file.type.startsWith("image/");
}

export async function openVideo(video, file) {
  const known = new Promise((done, fail) => {
    video.onloadeddata = () => (video.videoWidth ? done() : fail());
    video.onerror = () => fail();
  });
  video.srcObject = null;
  video.src = URL.createObjectURL(file);
  try {
    await known;
    await video.play();
  } catch {
    closeVideo(video);
    throw new Error("This video cannot be played by this browser. MP4 (H.264) and WebM nearly always can.");
  }
}

const CAMERA_WORDS = {
  NotAllowedError: "The camera may not be used. Allow it beside the address of this page, then try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "The camera cannot be opened. Perhaps another program is using it.",
};

// Returns the track of the camera, or null when it is not wanted any more once it is open.
export async function openCamera(video, wanted) {
  if (!navigator.mediaDevices) {
    throw new Error("Browsers give the camera only to pages of their own machine, or over HTTPS. Choose a file instead.");
  }
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: "environment", width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    throw new Error(CAMERA_WORDS[error.name] ?? "The camera cannot be opened.");
  }
  if (!wanted()) {
    stream.getTracks().forEach((track) => track.stop());
    return null;
  }
  video.srcObject = stream;
  await video.play();
  return stream.getVideoTracks()[0];
}

export function closeVideo(video) {
  video.pause();
  video.onerror = video.onloadeddata = null;
  if (video.src) URL.revokeObjectURL(video.src);
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
}
