// What viewer.js needs of three.js, and nothing else. See README.md for how three.min.js is built from this.
export {
  CanvasTexture, CircleGeometry, Color, CylinderGeometry, DirectionalLight, Fog, HemisphereLight, InstancedMesh, Matrix4, Mesh,
  MeshBasicMaterial, MeshLambertMaterial, PerspectiveCamera, PlaneGeometry, Quaternion, RepeatWrapping, Scene, ShadowMaterial,
  SphereGeometry, SRGBColorSpace, Vector3, WebGLRenderer,
} from "three";
