"""MuJoCo behind the Engine interface: all worlds in one batch that C code steps. The only module that imports mujoco.

MuJoCo numbers bodies limb by limb, whatever their order in the character. Joint coordinates are MuJoCo's own controls
(see character/mjcf.py). The solver is PGS: ten of its iterations end within 0.2 mm of the converged solution after a
quarter of a second, and take a fifth less time than Newton's. A world whose numbers blow up, or whose targets are no
numbers, MuJoCo quietly starts anew or relaxes; here it holds NaN until it is reset, as with other engines. Source of
the batch: mujoco.batch, MuJoCo 4.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sfv_core.character.character import Character
from sfv_core.character.mjcf import mjcf
from sfv_core.errors import SfvError
from sfv_core.physics.engine import PHYSICS_RATE, Conditions, State, local_motion, root_velocity


def _import() -> Any:
    try:
        import mujoco
        import mujoco.batch
    except ImportError as error:
        raise SfvError("MuJoCo 4 is not installed. Install the extra: pip install 'sfv[mujoco]', or use the engine "
                       "pybullet.") from error
    module: Any = mujoco
    words = module.MjLogConfig.get()  # it would write into the user's folder; what it warns of is in the batch
    words.logto_file = words.logto_console = False
    words.set()
    return module


class Mujoco:
    """N worlds in this process, stepped on one thread where not asked otherwise: a training has a process a core."""

    def __init__(self, character: Character, worlds: int, conditions: Conditions | None = None,
                 threads: int = 1) -> None:
        """Make the worlds."""
        mujoco = _import()
        self.character, self.worlds = character, worlds
        conditions = conditions or Conditions()
        model = mujoco.MjModel.from_xml_string(mjcf(character, conditions.friction, PHYSICS_RATE, conditions.gravity))
        self._stage = int(mujoco.mjtStage.mjSTAGE_VEL)
        self._batch: Any = mujoco.batch.Batch(model, nsim=worlds, nthread=threads)
        self._bad = [int(kind) for kind in (mujoco.mjtWarning.mjWARN_BADQPOS, mujoco.mjtWarning.mjWARN_BADQVEL,
                                            mujoco.mjtWarning.mjWARN_BADQACC, mujoco.mjtWarning.mjWARN_BADCTRL)]
        names = ("qpos", "qvel", "ctrl", "xpos", "xquat", "xipos", "cvel", "subtree_com", "xfrc_applied",
                 "qacc_warmstart")
        bound = {name: self._batch.bind(name) for name in names}
        self._place, self._motion, self._control = bound["qpos"], bound["qvel"], bound["ctrl"]
        self._forces, self._warm = bound["xfrc_applied"], bound["qacc_warmstart"]
        self._positions, self._rotations = bound["xpos"], bound["xquat"]
        self._centres, self._twists, self._middles = bound["xipos"], bound["cvel"], bound["subtree_com"]
        joints = np.array([model.joint(link.name).id for link in character.links])
        self._bodies = np.array([model.body(link.name).id for link in character.links])
        self._quaternions, self._angles = (model.jnt_qposadr[joints[i]] for i in (character.balls, character.hinges))
        self._ball_spins, self._hinge_spins = (model.jnt_dofadr[joints[i]] for i in (character.balls, character.hinges))
        self._place[:, 2] = 2.0
        self._batch.forward(stage=self._stage)

    def reset(self, ids: np.ndarray, state: State) -> None:
        """Put the characters of the worlds `ids` (K,) into a state (K, …)."""
        character = self.character
        local, spins = local_motion(character, state)
        rows = np.asarray(ids)[:, None]
        self._place[ids, :3], self._place[ids, 3:7] = state.positions[:, 0], state.rotations[:, 0]
        self._motion[ids, :3] = root_velocity(character, state)
        self._motion[ids, 3:6] = spins[:, 0]
        self._place[rows[..., None], self._quaternions[:, None] + np.arange(4)] = local[:, character.balls]
        self._motion[rows[..., None], self._ball_spins[:, None] + np.arange(3)] = spins[:, character.balls]
        if len(character.hinges):
            coordinates = character.to_coordinates(local)[:, 3 * len(character.balls):]
            self._place[rows, self._angles] = coordinates
            self._motion[rows, self._hinge_spins] = np.sum(spins[:, character.hinges] * character.axes, -1)
        self._warm[ids] = 0.0
        self._batch.warning[ids] = 0
        self._batch.forward(ids=np.sort(ids), stage=self._stage)

    def step(self, targets: np.ndarray, substeps: int, ids: np.ndarray | None = None,
             forces: np.ndarray | None = None) -> None:
        """Simulate the worlds `ids` (all if not given) while PD controllers pull the joints to targets (N, C) rad.

        forces: (N, L, 3) N in the world on the links' centres of mass, all the while.
        """
        self._control[:] = targets
        if forces is not None:
            self._forces[:, self._bodies, :3] = forces
        self._batch.step(nstep=substeps, stage=self._stage, ids=None if ids is None else np.sort(ids))
        if forces is not None:
            self._forces[:] = 0.0

    def read(self) -> State:
        """Return the state of all worlds, NaN for those that broke since they were reset; a copy."""
        twists, bodies = self._twists[:, self._bodies], self._bodies
        spins = twists[..., :3]
        velocities = twists[..., 3:] + _cross(spins, self._centres[:, bodies] - self._middles[:, bodies[:1]])
        state = State(self._positions[:, bodies], self._rotations[:, bodies], velocities, spins)
        broken = self._batch.warning[:, self._bad, 1].any(axis=1)
        if broken.any():
            for part in (state.positions, state.rotations, state.velocities, state.spins):
                part[broken] = np.nan
        return state

    def contacts(self) -> np.ndarray:
        """Tell which links touch the ground, bool of shape (N, L)."""
        state = self.read()
        return self.character.lowest(state.positions, state.rotations) <= 0

    def close(self) -> None:
        """Free the worlds."""
        self._batch = None


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a × b of arrays (..., 3); several times as fast as numpy's."""
    x, y, z = np.moveaxis(a, -1, 0)
    u, v, w = np.moveaxis(b, -1, 0)
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)
