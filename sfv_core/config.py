"""What can be asked for: the same frozen dataclasses are command line, JSON and HTTP body."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Annotated, Literal

from .errors import SfvError
from .push import Push, parse_push


@dataclass(frozen=True)
class Range:
    """The numbers that a setting may take, both ends included."""

    low: float = -math.inf
    """Smallest value."""
    high: float = math.inf
    """Largest value."""


@dataclass(frozen=True)
class CaptureConfig:
    """How a video becomes a motion."""

    start: Annotated[float, Range(0)] = 0.0
    """First moment to use, in s from the start of the video."""
    end: Annotated[float, Range(0)] | None = None
    """Last moment to use, in s; the end of the video if not given."""
    person: Annotated[int, Range(1, 1000)] | None = None
    """Number of the person to capture, as `sfv people` lists them; the most prominent one if not given."""
    body: str | None = None
    """A licensed SMPL model file (.pkl or .npz); the project's own stand-in body if not given."""
    focal: Annotated[float, Range(1)] | None = None
    """Focal length of the camera in px; if not given, fitted from the picture's diagonal on."""
    keypoints: str | None = None
    """Another program's keypoints to use instead of detecting: keypoints.npz, OpenPose's folder, AlphaPose's JSON, or
    arrays (.npz, .npy, .pt; see docs/protocol.md)."""
    keypoints_offset: Annotated[int, Range(-100_000, 100_000)] = 0
    """Number of the video's picture that the keypoints' picture 0 belongs to."""
    space: Literal["rotation", "latent"] = "rotation"
    """What the fit moves: each joint's rotation, or a code in the latent space of a pose prior (SFV's own way)."""
    prior: str | None = None
    """Pose prior of the latent space, as `sfv prior train` writes it; the program's own if not given."""
    iterations: Annotated[int, Range(1, 100_000)] = 200
    """Steps of the first fit; the second takes two thirds of it."""
    hands: bool = True
    """Add fingers, and turn wrists and head by close looks where hands and face are large enough in the picture;
    fingers that are not seen well enough are relaxed and have confidence 0."""


@dataclass(frozen=True)
class TrainConfig:
    """How a motion becomes a policy."""

    engine: Literal["pybullet", "mujoco"] = "pybullet"
    """The physics engine to learn in; mujoco is four times as fast and an extra of its own."""
    preset: Literal["fast", "paper"] = "fast"
    """fast learns in minutes; paper is DeepMimic's own recipe, for comparisons: it takes a day on many cores."""
    start: Literal["auto", "fixed", "rsi", "asi", "bins"] = "auto"
    """Where episodes start: at the first moment, anywhere in the motion (rsi), at states that are learnt along (asi, as
    in SFV), more often before moments of failure (bins), or what suits the preset (auto)."""
    character: Literal["person", "deepmimic", "atlas"] = "person"
    """The body: the captured person's own, DeepMimic's humanoid, or its robot Atlas of 169.5 kg."""
    mass: Annotated[float, Range(1, 1000)] | None = None
    """Body mass in kg; from the height if not given."""
    loop: Literal["auto", "yes", "no"] = "auto"
    """Whether the motion repeats: auto looks for a cycle where the motion does not say that it is one; yes takes the
    best cycle there is; no performs the clip once."""
    repair: bool = True
    """Repair what no body can do before learning it: a reference that floats, sinks, slides or trembles."""
    minutes: Annotated[float, Range(0.01, 1_000_000)] = 10.0
    """Longest training time in minutes; training also ends when `samples` or `goal` is reached."""
    samples: Annotated[int, Range(1, 10**12)] = 20_000_000
    """Largest number of control steps to learn from."""
    goal: Annotated[float, Range(0, 1)] = 0.9
    """Normalised return (0 to 1) at which training may stop early."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""
    processes: Annotated[int, Range(0, 4096)] = 0
    """Processes to simulate in; 0 takes one for each core."""


@dataclass(frozen=True)
class PreviewConfig:
    """How a motion is performed under physics at once, without learning."""

    seconds: Annotated[float, Range(0.1, 600)] | None = None
    """Length in s; the length of the motion if not given. Only a motion that loops can go on for longer."""
    seconds_limit: Annotated[float, Range(0.1, 86_400)] = 60.0
    """Longest time in s to search; the result then depends on how fast the machine is."""
    samples: Annotated[int, Range(128, 65_536)] = 128
    """Characters that search side by side; more find a way through harder motions, and take longer."""
    passes: Annotated[int, Range(1, 1000)] = 8
    """Largest number of passes through each three seconds; fewer are made where the motion is followed closely."""
    loop: Literal["auto", "yes", "no"] = "auto"
    """Whether the motion repeats, as in training: auto leaves it as it is; yes takes its best cycle; no performs it
    once."""
    repair: bool = True
    """Repair what no body can do before it is performed: a reference that floats, sinks, slides or trembles."""
    engine: Literal["pybullet", "mujoco"] | None = None
    """The physics engine; mujoco where it is installed if not given, as it is several times as fast."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""


@dataclass(frozen=True)
class PriorConfig:
    """How a folder of motion capture becomes a pose prior."""

    minutes: Annotated[float, Range(0.01, 10_000)] = 5.0
    """Longest training time in minutes; it also ends when poses held out for judging get no better."""
    epochs: Annotated[int, Range(1, 1_000_000)] = 1000
    """Largest number of passes over the data."""
    dimensions: Annotated[int, Range(2, 128)] = 32
    """Numbers that describe a pose in the latent space."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""
    licence: str = "not stated"
    """Source and licence of the data, written into the file."""


@dataclass(frozen=True)
class SimulateConfig:
    """How a policy becomes a motion again: a take."""

    seconds: Annotated[float, Range(0.01, 86_400)] | None = None
    """Length of the take in s; the length of the reference motion if not given."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""
    push: tuple[str, ...] = ()
    """A push, "t=1.2 N=300 dir=left body=chest for=0.2": when in s, how strong, where to (left, right, front, back, up,
    down as the character faces at that moment, or x,y,z in the world), on which part (chest, pelvis, head, left hand,
    …), for how many s. May be given several times."""
    mass: Annotated[float, Range(0.05, 20)] = 1.0
    """Body mass, as a multiple of the one that learnt."""
    strength: Annotated[float, Range(0.01, 100)] = 1.0
    """Strength: gains and largest torques of all joints, as a multiple."""
    friction: Annotated[float, Range(0, 100)] = 1.0
    """Friction with the ground, as a multiple."""
    gravity: Annotated[float, Range(0, 100)] = 1.0
    """Gravity, as a multiple."""
    slope: Annotated[float, Range(0, 60)] = 0.0
    """Slope of the ground in degrees; the take stands on it in the world."""
    slope_dir: Literal["uphill", "downhill", "left", "right"] = "uphill"
    """Where the motion goes on the slope, or to which side of the character it falls."""
    latency: Annotated[float, Range(0, 1000)] = 0.0
    """Time in ms from what the policy sees until its muscles act on it, in steps of 1/240 s."""
    engine: Literal["pybullet", "mujoco"] | None = None
    """The physics engine; the one that the policy learnt in if not given."""
    takes: Annotated[int, Range(1, 1024)] = 1
    """Takes to simulate side by side; the best is written. All but the first vary by `noise`."""
    noise: Annotated[float, Range(0, 10)] = 0.1
    """How much takes differ: standard deviation of a slow noise on the actions, each of which moves a joint's target by
    0.5 rad, and a fifth of it in rad on each joint of the first pose."""
    all: bool = False
    """Also write every take, numbered by rank, into a folder named after the motion."""
    raw: bool = False
    """Keep the feet exactly as the physics gave them, instead of holding those still that stand."""

    def __post_init__(self) -> None:
        self.pushes()

    def pushes(self) -> tuple[Push, ...]:
        """Return `push` as numbers; raise SfvError for one that is none."""
        return tuple(parse_push(text) for text in self.push)


@dataclass(frozen=True)
class RobustnessConfig:
    """How a policy is tried out."""

    starts: Annotated[int, Range(1, 1024)] = 8
    """Moments of the motion, evenly spread, from which each trial is made."""
    seconds: Annotated[float, Range(0.2, 60)] = 3.0
    """How long the character must stay up, in s: after a push, or under changed conditions; then it must be back in the
    motion. A clip that ends stops earlier."""
    body: str = "pelvis"
    """The part that is pushed; DeepMimic pushes the pelvis."""
    force: Annotated[float, Range(1, 1e6)] = 2000.0
    """Strongest push that is tried, in N."""
    duration: Annotated[float, Range(0.005, 10)] = 0.2
    """How long a push lasts, in s; DeepMimic's lasts 0.2 s."""
    engine: Literal["pybullet", "mujoco"] | None = None
    """The physics engine; the one that the policy learnt in if not given."""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """Seed of all random numbers."""


@dataclass(frozen=True)
class RetargetConfig:
    """How a motion goes from one skeleton to another."""

    stride: Annotated[float, Range(0, 100)] = 1.0
    """Way over the ground, as a share of what the target's size gives: 1 keeps the steps' proportions."""
    root: Literal["travel", "in-place", "off"] = "travel"
    """Whether the hips travel, keep their place over the ground, or keep their rest place altogether."""
    feet: Literal["follow", "lock", "off"] = "follow"
    """Feet go where the source's are, bending the legs; or are also held absolutely still while they touch the ground;
    or are left where the legs' turns put them."""
    hands: Literal["off", "body", "floor"] = "off"
    """Bring the hands to where the source's are, bending the arms: seen from the shoulders, or on the floor."""
    reference_frame: Annotated[int, Range(0, 10**9)] | None = None
    """Frame of the motion, from 0, to take as its rest pose; its own rest pose if not given."""


@dataclass(frozen=True)
class BakeConfig(RetargetConfig):
    """How a motion becomes keyframes on a rig."""

    armature: str | None = None
    """Name of the armature, if the rig file has several; the one with the most bones if not given."""
    map: str | None = None
    """Bone map (JSON), as `sfv map` writes it; guessed if not given."""
    limbs: Literal["auto", "fk", "ik"] = "auto"
    """Which controls of a control rig show: auto is IK for legs and FK for arms; both get keys."""
    start_frame: Annotated[int, Range(-1_000_000, 1_000_000)] = 1
    """Frame of the timeline on which the first key lies."""
    frames: str | None = None
    """Which part of the motion, as FIRST:LAST in frames from 0 (30:90), or in s (1.5s:4s); either may be left out."""
    fps: Annotated[float, Range(0.1, 1000)] | None = None
    """Frames per second of the scene; the first motion's if not given."""
    every_frame: bool = False
    """Give each frame of the motion a frame of the timeline, whatever their rates."""
    reduce: Annotated[float, Range(0, 90)] = 0.0
    """Leave out keys as long as no bone turns further than this from the motion, in degrees; 0 keeps all."""
    reduce_mm: Annotated[float, Range(0.001, 1000)] = 1.0
    """The same for locations, in mm; counts where `reduce` is above 0."""
    nla: bool = False
    """Put each Action on an NLA track of its own instead of assigning it."""

    def __post_init__(self) -> None:
        self.span()

    def span(self) -> dict[str, list[float | None]]:
        """Return `frames` as {"frames": [first, last]} or {"seconds": [first, last]}, None for an open end."""
        match = re.fullmatch(r"(\d+)?:(\d+)?|(\d+\.?\d*s)?:(\d+\.?\d*s)?", self.frames or ":")
        if match is None:
            raise SfvError(f"frames is '{self.frames}'; give FIRST:LAST in frames (30:90), or in s (1.5s:4s).")
        ends = match.groups()
        if any(ends[2:]):
            return {"seconds": [None if end is None else float(end[:-1]) for end in ends[2:]]}
        return {"frames": [None if end is None else int(end) for end in ends[:2]]}


@dataclass(frozen=True)
class JobConfig:
    """One job: which stages to run on what."""

    stages: tuple[Literal["capture", "train", "simulate", "bake"], ...] = ("capture", "train", "simulate", "bake")
    """What to do, in this order."""
    video: str | None = None
    """Path of the video that `capture` reads."""
    motion: str | None = None
    """Path of the motion to start from where `capture` is not asked for."""
    rig: str | None = None
    """Path of the rig (.blend, .fbx, .glb, .bvh) that `bake` writes onto."""
    name: str = ""
    """A name for people."""
    capture: CaptureConfig = field(default_factory=CaptureConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    simulate: SimulateConfig = field(default_factory=SimulateConfig)
    bake: BakeConfig = field(default_factory=BakeConfig)
