{
  "targets": [
    {
      "target_name": "gristmill",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake_js",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["build/Release/gristmill.node"],
          "action": ["node", "native/install.mjs", "--force"]
        }
      ]
    }
  ]
}
