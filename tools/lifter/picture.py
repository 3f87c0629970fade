"""Draw the stand-in body quickly by OpenGL: clothes, light, shadow, a floor and a wall that differ each time.

Needs moderngl with EGL; Mesa's software renderer does it too.
"""

from __future__ import annotations

import moderngl
import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_matrix
from view import View

from sfv_core.body.model import SMPL_NAMES, Body

_SCENE = """
uniform vec3 eye; uniform vec3 light; uniform sampler2D pattern; uniform vec3 ground; uniform vec3 wall;
uniform float scale; uniform vec2 shift;
vec3 scene(vec3 ray) {
    if (ray.z < -0.002) {
        vec3 p = eye - ray * (eye.z / ray.z);
        float fade = exp(-0.05 * length(p.xy - eye.xy));
        return ground * mix(0.55, 0.25 + 0.75 * texture(pattern, p.xy * scale + shift).r * 1.2, fade);
    }
    vec2 at = vec2(atan(ray.x, ray.y) * 0.6, ray.z * 0.8) + shift;
    return wall * (0.35 + 0.9 * texture(pattern, at).rgb);
}
"""
_BACK_VERTEX = """#version 330
in vec2 corner; uniform mat3 ray_from_clip; out vec3 ray;
void main() { gl_Position = vec4(corner, 0.9999, 1.0); ray = ray_from_clip * vec3(corner, 1.0); }
"""
_BACK_FRAGMENT = "#version 330\n" + _SCENE + """
in vec3 ray; out vec4 colour;
void main() { colour = vec4(scene(normalize(ray)), 1.0); }
"""
_BODY_VERTEX = """#version 330
in vec3 place; in vec3 normal; in vec3 paint; in vec3 rest;
uniform mat3 clip_from_camera; uniform mat3 camera_from_world; uniform vec3 eye; uniform vec3 light; uniform bool flat_;
out vec3 world; out vec3 facing; out vec3 tint; out vec3 at;
void main() {
    vec3 p = place;
    if (flat_) p = vec3(p.xy - light.xy / light.z * p.z, 0.0);
    world = p; facing = normal; tint = paint; at = rest;
    vec3 c = camera_from_world * (p - eye);
    vec3 h = clip_from_camera * c;
    float depth = flat_ ? 0.999 : clamp(c.z / 40.0, 0.0, 0.99);
    gl_Position = vec4(h.xy, (2.0 * depth - 1.0) * h.z, h.z);
}
"""
_BODY_FRAGMENT = "#version 330\n" + _SCENE + """
in vec3 world; in vec3 facing; in vec3 tint; in vec3 at;
uniform bool flat_; uniform float ambient; uniform vec3 waves; uniform float strength; uniform float gloss;
out vec4 colour;
void main() {
    if (flat_) { colour = vec4(scene(normalize(world - eye)) * (0.25 + 0.5 * ambient), 1.0); return; }
    vec3 n = normalize(facing);
    vec3 sight = normalize(eye - world);
    float sun = max(dot(n, light), 0.0);
    float sky = 0.6 + 0.4 * n.z;
    float shine = gloss * pow(max(dot(n, normalize(light + sight)), 0.0), 20.0);
    float cloth = 1.0 + strength * sin(dot(at, waves)) * sin(dot(at, waves.zxy * 1.7) + 1.0);
    colour = vec4(tint * cloth * (ambient * sky + (1.2 - ambient) * sun) + shine, 1.0);
}
"""
_SKIN = np.array([[.80, .58, .46], [.62, .42, .30], [.42, .26, .17], [.24, .14, .09], [.90, .72, .62]])
_SLEEVES = (("wrist", "hand"), ("elbow", "wrist", "hand"), ("shoulder", "elbow", "wrist", "hand"))
_LEGS = ((), (), ("knee", "ankle"), ("hip", "knee", "ankle"))


class Painter:
    """Draws one body; call `dress` for each new sequence."""

    def __init__(self, body: Body, size: int) -> None:
        assert body.materials is not None
        self.size = size
        context = moderngl.create_context(standalone=True, backend="egl")
        self._context = context
        pairs = np.stack([body.faces.ravel(), np.repeat(body.materials, 3)], axis=1)
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        self._vertex, self._material = unique[:, 0], unique[:, 1]
        self._carrier = body.weights.argmax(axis=1)[self._vertex]
        rest = body.v_template[self._vertex].astype("f4")
        faces = body.faces
        rows = np.repeat(np.arange(len(body.v_template)), np.bincount(faces.ravel(), minlength=len(body.v_template)))
        order = np.argsort(faces.ravel(), kind="stable")
        self._around = csr_matrix((np.ones(len(rows), "f4"), (rows, order // 3)))
        self._faces = faces
        self._back = context.program(_BACK_VERTEX, _BACK_FRAGMENT)
        self._front = context.program(_BODY_VERTEX, _BODY_FRAGMENT)
        corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._screen = context.vertex_array(self._back, [(corners, "2f", "corner")])
        self._places = context.buffer(reserve=len(unique) * 24, dynamic=True)
        self._paint = context.buffer(reserve=len(unique) * 12, dynamic=True)
        self._mesh = context.vertex_array(self._front, [
            (self._places, "3f 3f", "place", "normal"), (self._paint, "3f", "paint"),
            (context.buffer(rest.tobytes()), "3f", "rest")], context.buffer(index.ravel().astype("i4").tobytes()))
        self._many = context.framebuffer([context.renderbuffer((size, size), 3, samples=4)],
                                         context.depth_renderbuffer((size, size), samples=4))
        self._one = context.framebuffer([context.renderbuffer((size, size), 3)])
        self._pattern = context.texture((256, 256), 3)
        self._pattern.use(0)

    def dress(self, rng: np.random.Generator) -> None:
        """Choose clothes, skin, light, floor and wall anew."""
        colours = np.concatenate([_SKIN[rng.integers(len(_SKIN))][None] * rng.uniform(.8, 1.1),
                                  rng.uniform(0.02, 0.95, (8, 3)) ** rng.uniform(0.7, 2.0, (8, 1))])
        colours[4] = np.array([.08, .05, .03]) * rng.uniform(.2, 6, 3)
        colours[5], colours[7] = (.03, .03, .03), (.85, .85, .85)
        colours[6] = colours[0] * [.9, .6, .6]
        paint = colours[self._material]
        parts = np.array([name.split("_")[-1] for name in SMPL_NAMES])[self._carrier]
        for material, bare in ((1, _SLEEVES[rng.integers(3)]), (2, _LEGS[rng.integers(4)])):
            paint[(self._material == material) & np.isin(parts, bare)] = colours[0]
        self._paint.write(paint.astype("f4").tobytes())
        self._pattern.write(_pattern(rng).tobytes())
        light = np.array([*rng.normal(0, 0.7, 2), 1.0])
        grey = rng.uniform(0.15, 1.0, (2, 1)) ** 1.2
        tinted = grey + rng.choice([0.05, 0.3]) * rng.normal(0, grey, (2, 3))
        both = {"light": light / np.linalg.norm(light), "ground": tinted[0],
                "wall": tinted[1], "scale": rng.uniform(0.05, 0.6), "shift": rng.uniform(0, 1, 2)}
        self._set(self._back, **both)
        self._set(self._front, **both, ambient=rng.uniform(0.3, 0.9), waves=rng.normal(0, 60, 3),
                  strength=rng.choice([0.0, 0.15, 0.4]), gloss=rng.choice([0.0, 0.15]))

    def normals(self, skin: np.ndarray) -> np.ndarray:
        """Return the skin's normals (V, 3) for places (V, 3)."""
        a, b, c = (skin[self._faces[:, k]] for k in range(3))
        out = self._around @ np.cross(b - a, c - a)
        return out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-9)

    def __call__(self, skin: np.ndarray, view: View, square: np.ndarray) -> np.ndarray:
        """Return the picture (size, size, 3) uint8 of the square [left, top, side] in px of the view's picture."""
        left, top, side = square
        to_clip = np.array([[2 / side, 0, -2 * left / side - 1], [0, -2 / side, 2 * top / side + 1], [0, 0, 1.0]])
        clip_from_camera = to_clip @ np.diag([view.focal, view.focal, 1.0])
        data = np.concatenate([skin, self.normals(skin)], axis=1)[self._vertex].astype("f4")
        self._places.write(data.tobytes())
        turn = view.camera_from_world
        self._set(self._back, eye=view.eye, ray_from_clip=turn.T @ np.linalg.inv(clip_from_camera))
        self._set(self._front, eye=view.eye, clip_from_camera=clip_from_camera, camera_from_world=turn)
        self._many.use()
        self._many.clear(depth=1.0)
        self._context.disable(moderngl.DEPTH_TEST)
        self._screen.render(moderngl.TRIANGLE_STRIP)
        self._front["flat_"] = True
        self._mesh.render()
        self._context.enable(moderngl.DEPTH_TEST)
        self._front["flat_"] = False
        self._mesh.render()
        self._context.copy_framebuffer(self._one, self._many)
        linear = np.frombuffer(self._one.read(components=3), np.uint8).reshape(self.size, self.size, 3)[::-1]
        return linear

    def _set(self, program: moderngl.Program, **values: object) -> None:
        for name, value in values.items():
            if name in program:
                array = np.asarray(value, "f4")
                program[name].write((array.T if array.ndim == 2 else array).copy().tobytes())


def _pattern(rng: np.random.Generator) -> np.ndarray:
    """Return a texture of soft noise and rectangles, shape (256, 256, 3) uint8."""
    noise = sum(gaussian_filter(rng.normal(0, 1, (256, 256, 3)), (s, s, 1.2), mode="wrap") * s
                for s in rng.uniform(0.5, 25, 3))
    picture = 0.5 + 0.2 * noise / noise.std()
    for _ in range(rng.integers(0, 40)):
        x, y = rng.integers(0, 230, 2)
        w, h = rng.integers(4, 80, 2)
        picture[y : y + h, x : x + w] = rng.uniform(0.1, 1) + rng.normal(0, 0.1, 3)
    return (255 * np.clip(picture, 0, 1)).astype(np.uint8)
